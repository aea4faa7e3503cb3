"""A graph U-Net on the icosphere that predicts how each vertex of a sphere has to turn."""

import torch
from torch import nn
from torch_geometric.nn import GATv2Conv

from utils.icosphere import level_number
from utils.pooling import get_network_index, get_pooling_index, get_unpooling_index, pool, unpool
from utils.position_encoding import ENCODED, edge_features, encode
from utils.rotate_matrix import rotate

COARSEST = 1
WIDTH = 16


class GatBlock(nn.Module):
    """Attention over a vertex and its ring: (n, in_channels) to (n, out_channels)."""

    def __init__(self, in_channels, out_channels, num_heads, dropout, use_residual):
        super().__init__()
        self.conv = GATv2Conv(
            in_channels,
            out_channels // num_heads,
            heads=num_heads,
            dropout=dropout,
            edge_dim=ENCODED,
            share_weights=True,
        )
        self.norm = nn.BatchNorm1d(out_channels)
        self.residual = nn.Linear(in_channels, out_channels) if use_residual else None

    def forward(self, x, edge_index, edge_attr):
        out = self.norm(self.conv(x, edge_index, edge_attr))
        if self.residual is not None:
            out = out + self.residual(x)
        return torch.relu(out)


class GatUNet(nn.Module):
    """Euler angles for the registration of a sphere.

    ``ico_level`` is a name such as 'fsaverage3'; ``euler_scale`` the largest angle in radians; ``rigid`` asks for
    one rotation of the whole sphere instead of one at each vertex. The index tensors are plain attributes.
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
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_heads = num_heads
        self.dropout = dropout
        self.use_position_decoding = use_position_decoding
        self.use_residual = use_residual
        self.ico_level = ico_level
        self.input_dropout = input_dropout
        self.euler_scale = euler_scale
        self.rigid = rigid

        self.levels = list(range(level_number(ico_level), COARSEST - 1, -1))
        self.edges = [get_network_index(level) for level in self.levels]
        self.pooling = [get_pooling_index(level) for level in self.levels[1:]]
        self.unpooling = [get_unpooling_index(level) for level in self.levels[1:]]

        widths = [WIDTH * min(2**depth, 4) for depth in range(len(self.levels))]
        position = ENCODED if use_position_decoding else 0
        self.drop = nn.Dropout(input_dropout)
        self.encoder = nn.ModuleList(
            GatBlock(before, width, num_heads, dropout, use_residual)
            for before, width in zip([in_channels, *widths], widths)
        )
        self.decoder = nn.ModuleList(
            GatBlock(widths[depth + 1] + widths[depth] + position, widths[depth], num_heads, dropout, use_residual)
            for depth in range(len(widths) - 1)
        )
        self.head = nn.Linear(widths[-1] if rigid else widths[0], out_channels)

    def forward(self, x, xyz_moving, face=None):
        """Moved vertices (n, 3) and Euler angles, (n, 3) or (1, 3) when rigid.

        ``x`` (n, in_channels) are features of the vertices ``xyz_moving`` (n, 3), ``face`` an optional (f, 3)
        int64 triangulation that replaces the icosphere's own at the finest level.
        """
        edges = list(self.edges)
        if face is not None:
            edges[0] = torch.cat([face[:, [0, 1]], face[:, [1, 2]], face[:, [2, 0]]]).t().contiguous()
        spheres = self._spheres(xyz_moving)
        features = [edge_features(xyz, index) for xyz, index in zip(spheres, edges)]
        x, skipped = self._encode(self.drop(x), edges, features)
        if self.rigid:
            x = x.mean(dim=0, keepdim=True)
        else:
            x = self._decode(x, skipped, spheres, edges, features)
        euler = torch.tanh(self.head(x)) * self.euler_scale
        return rotate(xyz_moving, euler), euler

    def _spheres(self, xyz):
        spheres = [xyz]
        for index, level in zip(self.pooling, self.levels[1:]):
            spheres.append(pool(spheres[-1], index, 10 * 4**level + 2, reduce="mean"))
        return spheres

    def _encode(self, x, edges, features):
        skipped = []
        for depth, block in enumerate(self.encoder):
            if depth:
                x = pool(x, self.pooling[depth - 1], 10 * 4 ** self.levels[depth] + 2)
            x = block(x, edges[depth], features[depth])
            skipped.append(x)
        return x, skipped

    def _decode(self, x, skipped, spheres, edges, features):
        for depth in reversed(range(len(self.decoder))):
            parts = [unpool(x, self.unpooling[depth]), skipped[depth]]
            if self.use_position_decoding:
                sphere = spheres[depth]
                parts.append(encode(sphere / sphere.norm(dim=1, keepdim=True)))
            x = self.decoder[depth](torch.cat(parts, dim=1), edges[depth], features[depth])
        return x
