"""The shape of SUGAR's model: index tensors made in the constructor, a forward over vertices of a sphere."""

import torch
import torch_scatter  # noqa: F401
from torch import nn

from utils.interp_fine import knn  # noqa: F401
from utils.pooling import get_network_index

LEVELS = {"fsaverage3": 642, "fsaverage4": 2562, "fsaverage5": 10242, "fsaverage6": 40962}


class GatUNet(nn.Module):
    def __init__(self, in_channels, out_channels, num_heads, dropout, use_position_decoding, use_residual, ico_level,
                 input_dropout, euler_scale, rigid):
        super().__init__()
        self.in_channels, self.out_channels, self.num_heads, self.dropout = in_channels, out_channels, num_heads, dropout
        self.use_position_decoding, self.use_residual, self.ico_level = use_position_decoding, use_residual, ico_level
        self.input_dropout, self.euler_scale, self.rigid = input_dropout, euler_scale, rigid
        self.index = get_network_index(LEVELS[ico_level])
        self.first = nn.Linear(in_channels, num_heads)
        self.last = nn.Linear(num_heads, out_channels)

    def forward(self, x, xyz_moving, face=None):
        euler = self.last(self.first(x[self.index]).tanh())
        moved = xyz_moving + euler
        return moved, (euler.mean(0) if self.rigid else euler)
