"""Triangle meshes of the unit sphere by repeated subdivision of the icosahedron.

Level k has 10 * 4**k + 2 vertices (642 at level 3, 2562 at level 4). As in the fsaverage surfaces, the vertices of
a level come first in the next one, followed by one new vertex for each edge.
"""

from functools import lru_cache

import numpy as np

VERTICES = {f"fsaverage{level}": 10 * 4**level + 2 for level in range(7)}


def level_number(name):
    """3 for 'fsaverage3'; ValueError for anything that is not a level."""
    if name not in VERTICES:
        raise ValueError(f"unknown icosphere level {name!r}; known: {', '.join(VERTICES)}")
    return int(name[len("fsaverage"):])


@lru_cache(maxsize=None)
def icosphere(level):
    """Vertices (n, 3) float64 on the unit sphere, faces (f, 3) int64, parents (new, 2) of the vertices of this level."""
    if level == 0:
        vertices, faces = _icosahedron()
        return vertices, faces, np.zeros((0, 2), dtype=np.int64)
    vertices, faces, _ = icosphere(level - 1)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    parents, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = vertices[parents].sum(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = inverse.reshape(3, -1) + len(vertices)
    a, b, c = faces.T
    children = [np.stack(t, axis=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    return np.concatenate([vertices, middle]), np.concatenate(children), parents


def directed_edges(faces):
    """Both directions of each edge of ``faces`` (f, 3), once each, sorted: (2, e) int64."""
    pairs = np.concatenate([faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2))])
    return np.ascontiguousarray(np.unique(pairs, axis=0).T)


def _icosahedron():
    golden = (1 + 5**0.5) / 2
    plane = np.array([(-1, golden), (1, golden), (-1, -golden), (1, -golden)])
    vertices = np.zeros((12, 3))
    for block, axes in enumerate(((0, 1), (1, 2), (2, 0))):
        vertices[4 * block:4 * block + 4, axes[0]] = plane[:, 0]
        vertices[4 * block:4 * block + 4, axes[1]] = plane[:, 1]
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    near = np.linalg.norm(vertices[:, None] - vertices[None], axis=2) < 1.1
    triangles = [
        (i, j, k)
        for i in range(12) for j in range(i + 1, 12) for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[k, i]
    ]
    faces = np.array(triangles, dtype=np.int64)
    a, b, c = (vertices[faces[:, column]] for column in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    faces[inward] = faces[inward][:, [0, 2, 1]]
    return vertices, faces
