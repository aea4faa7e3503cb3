"""A graph U-Net on the icosphere that predicts how each vertex of a sphere has to turn."""

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import GATv2Conv

from utils.icosphere import level_number
from utils.pooling import get_network_index, get_pooling_index, get_unpooling_index, pool, unpool
from utils.position_encoding import Encoding, longitude_latitude
from utils.rotate_matrix import rotate

COARSEST = 1
WIDTH = 16
OCTAVES = 4


class GatBlock(nn.Module):
    """Attention over a vertex and its ring: (n, in_channels) to (n, out_channels)."""

    def __init__(self, in_channels, out_channels, num_heads, dropout, use_residual, edge_dim):
        super().__init__()
        self.conv = GATv2Conv(
            in_channels,
            out_channels // num_heads,
            heads=num_heads,
            dropout=dropout,
            edge_dim=edge_dim,
            share_weights=True,
        )
        self.norm = nn.BatchNorm1d(out_channels)
        self.residual = nn.Linear(in_channels, out_channels) if use_residual else None

    def forward(self, x, edge_index, edge_attr):
        out = self.norm(self.conv(x, edge_index, edge_attr))
        if self.residual is not None:
            out = out + self.residual(x)
        return out


class GatUNet(nn.Module):
    """Euler angles for the registration of a sphere.

    ``ico_level`` is a name such as 'fsaverage3'; ``euler_scale`` the largest angle in radians; ``rigid`` asks for
    one rotation of the whole sphere instead of one at each vertex. Neither the level nor the sizes of the layers are
    kept: they show in the tensors. The index tensors are plain attributes, several to an entry; the positions of the
    vertices, ``theta_phi`` and ``p_e``, are those of the first sphere that comes.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        num_heads,
        dropout,
        use_position_decoding,
        use_residual,
        ico_level,
        input_dropout,
        euler_scale,
        rigid,
    ):
        super().__init__()
        self.use_position_decoding = use_position_decoding
        self.use_residual = use_residual
        self.input_dropout = input_dropout
        self.euler_scale = euler_scale
        self.rigid = rigid
        self.activate_layer = F.leaky_relu
        self.theta_phi = None
        self.edge_e = Encoding(3, OCTAVES)
        self.pe = Encoding(2, OCTAVES)

        levels = list(range(level_number(ico_level), COARSEST - 1, -1))
        self.edges = [get_network_index(level, self.edge_e) for level in levels]
        self.between = [(get_pooling_index(level), get_unpooling_index(level)) for level in levels[1:]]

        widths = [WIDTH * min(2**depth, 4) for depth in range(len(levels))]
        position = self.pe.width if use_position_decoding else 0
        common = (num_heads, dropout, use_residual, self.edge_e.width)
        self.encoder = nn.ModuleList(
            GatBlock(before, width, *common) for before, width in zip([in_channels, *widths], widths)
        )
        self.decoder = nn.ModuleList(
            GatBlock(widths[depth + 1] + widths[depth] + position, widths[depth], *common)
            for depth in range(len(widths) - 1)
        )
        self.head = nn.Linear(widths[-1] if rigid else widths[0], out_channels)

    def forward(self, x, xyz_moving, face=None):
        """Moved vertices (n, 3) and Euler angles, (n, 3) or (1, 3) when rigid.

        ``x`` (n, in_channels) are features of the vertices ``xyz_moving`` (n, 3), ``face`` an optional (f, 3)
        int64 triangulation that replaces the icosphere's own at the finest level.
        """
        if self.theta_phi is None:
            self.theta_phi = longitude_latitude(xyz_moving)
            self.p_e = self.pe(self.theta_phi)
        edges = [(index, features) for index, _, features in self.edges]
        if face is not None:
            index = torch.cat([face[:, [0, 1]], face[:, [1, 2]], face[:, [2, 0]]]).t().contiguous()
            unit = xyz_moving / xyz_moving.norm(dim=1, keepdim=True)
            edges[0] = index, self.edge_e(unit[index[0]] - unit[index[1]])
        x, skipped = self._encode(F.dropout(x, self.input_dropout, self.training), edges)
        if self.rigid:
            x = x.mean(dim=0, keepdim=True)
        else:
            x = self._decode(x, skipped, edges)
        euler = torch.tanh(self.head(x)) * self.euler_scale
        return rotate(xyz_moving, euler), euler

    def _encode(self, x, edges):
        skipped = []
        for depth, block in enumerate(self.encoder):
            if depth:
                x = pool(x, self.between[depth - 1][0])
            x = self.activate_layer(block(x, *edges[depth]))
            skipped.append(x)
        return x, skipped

    def _decode(self, x, skipped, edges):
        for depth in reversed(range(len(self.decoder))):
            parts = [unpool(x, self.between[depth][1]), skipped[depth]]
            if self.use_position_decoding:
                parts.append(self.p_e[: len(skipped[depth])])  # a level's vertices come first in the next one
            x = self.activate_layer(self.decoder[depth](torch.cat(parts, dim=1), *edges[depth]))
        return x
