"""Index tensors of the icosphere graphs, and pooling and unpooling over them."""

import torch
from torch_scatter import scatter

from utils.icosphere import directed_edges, icosphere


def get_network_index(level, encoding, device="cuda"):
    """Edges of the mesh at ``level``, in both directions: (2, e) int64, their offsets (e, 3) and what ``encoding`` makes of
    these.
    """
    vertices, faces, _ = icosphere(level)
    edges = directed_edges(faces)
    offsets = torch.from_numpy(vertices[edges[0]] - vertices[edges[1]]).float().to(device)
    return torch.from_numpy(edges).to(device), offsets, encoding(offsets)


def get_pooling_index(level, device="cuda"):
    """What ``level`` gathers from level + 1: row 0 the fine vertex, row 1 the coarse one (itself and its ring)."""
    coarse = 10 * 4**level + 2
    _, faces, _ = icosphere(level + 1)
    centre, ring = directed_edges(faces)
    kept = centre < coarse
    own = torch.arange(coarse)
    fine = torch.cat([own, torch.from_numpy(ring[kept])])
    target = torch.cat([own, torch.from_numpy(centre[kept])])
    return torch.stack([fine, target]).to(device)


def get_unpooling_index(level, device="cuda"):
    """The two vertices of ``level`` between which each new vertex of level + 1 lies: (new, 2) int64."""
    _, _, parents = icosphere(level + 1)
    return torch.from_numpy(parents).to(device)


def pool(x, index):
    """``x`` (fine, c) on the coarser mesh, the largest of what ``index`` gathers for each vertex: (coarse, c)."""
    return scatter(x[index[0]], index[1], dim=0, reduce="max")


def unpool(x, parents):
    """``x`` (coarse, c) on the finer mesh: old vertices as they are, new ones the mean of their parents."""
    return torch.cat([x, x[parents].mean(dim=1)])
