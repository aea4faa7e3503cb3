"""Values of one sphere mesh at the vertices of another."""

import torch
import torch_spline_conv  # noqa: F401  (registers the spline basis that training uses)
from pytorch3d.ops.knn import knn_gather, knn_points


def interp_to_mesh(values, xyz, target_xyz, neighbours=3):
    """``values`` (n, c) at vertices ``xyz`` (n, 3), by inverse distance at ``target_xyz`` (m, 3): (m, c)."""
    found = knn_points(target_xyz[None], xyz[None], K=neighbours)
    weight = 1 / found.dists.clamp_min(1e-8)
    weight = weight / weight.sum(dim=2, keepdim=True)
    near = knn_gather(values[None], found.idx)
    return torch.sum(near * weight[..., None], dim=2)[0]
