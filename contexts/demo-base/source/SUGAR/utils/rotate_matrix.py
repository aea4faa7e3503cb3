"""Rotations of points on a sphere by Euler angles."""

import torch

from utils.interp_fine import interp_to_mesh

__all__ = ["euler_to_matrix", "interp_to_mesh", "rotate"]


def euler_to_matrix(euler):
    """Rotation matrices (n, 3, 3) of Euler angles ``euler`` (n, 3) in radians, about z, then y, then x."""
    cx, cy, cz = torch.cos(euler).unbind(1)
    sx, sy, sz = torch.sin(euler).unbind(1)
    rows = (
        cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz,
        cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz,
        -sy, sx * cy, cx * cy,
    )
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def rotate(xyz, euler):
    """``xyz`` (n, 3) turned by ``euler``: (n, 3) for a rotation at each vertex, (1, 3) for one for all."""
    matrix = euler_to_matrix(euler).expand(xyz.shape[0], 3, 3)
    return (matrix * xyz[:, None, :]).sum(dim=2)
