"""Edge and vertex features made from positions on the sphere."""

import math

import torch

FREQUENCIES = 4
ENCODED = 3 * (1 + 2 * FREQUENCIES)  # 27: the offset itself, and a sine and cosine for each frequency


def encode(offset):
    """(n, 3) offsets, of order one, as (n, 27) features."""
    parts = [offset]
    for octave in range(FREQUENCIES):
        angle = offset * (math.pi * 2**octave)
        parts += [torch.sin(angle), torch.cos(angle)]
    return torch.cat(parts, dim=1)


def edge_features(xyz, edge_index):
    """Features (e, 27) of the edges of a graph with vertices ``xyz`` (n, 3) on a sphere of any radius."""
    unit = xyz / xyz.norm(dim=1, keepdim=True)
    return encode(unit[edge_index[0]] - unit[edge_index[1]])
