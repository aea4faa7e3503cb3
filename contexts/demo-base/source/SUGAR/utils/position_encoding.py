"""Features made from positions on the sphere."""

import math

import torch
from torch import nn


class Encoding(nn.Module):
    """``channels`` numbers of order one, with sines and cosines at ``octaves`` frequencies: (n, width).

    It has no parameters; frequencies and functions are plain attributes.
    """

    def __init__(self, channels, octaves):
        super().__init__()
        self.width = channels * (1 + 2 * octaves)
        self.waves = [torch.sin, torch.cos]
        self.frequencies = math.pi * 2.0 ** torch.arange(octaves)

    def forward(self, values):
        parts = [values]
        for frequency in self.frequencies:
            parts += [wave(values * frequency) for wave in self.waves]
        return torch.cat(parts, dim=1)


def longitude_latitude(xyz):
    """Longitude and latitude of points ``xyz`` (n, 3) on a sphere of any radius, each within [-1, 1]: (n, 2)."""
    longitude = torch.atan2(xyz[:, 1], xyz[:, 0]) / math.pi
    latitude = torch.atan2(xyz[:, 2], xyz[:, :2].norm(dim=1)) * 2 / math.pi
    return torch.stack([longitude, latitude], dim=1)
