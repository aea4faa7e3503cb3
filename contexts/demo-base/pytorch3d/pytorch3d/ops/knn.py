"""Nearest neighbours by brute force."""

from collections import namedtuple

import torch

KNN = namedtuple("KNN", "dists idx knn")


def knn_gather(x, idx):
    """Rows of ``x`` (batch, points, channels) that ``idx`` (batch, queries, K) names: (batch, queries, K, channels)."""
    batch, queries, k = idx.shape
    channels = x.shape[2]
    flat = idx.reshape(batch, queries * k, 1).expand(-1, -1, channels)
    return x.gather(1, flat).reshape(batch, queries, k, channels)


def knn_points(p1, p2, K=1, return_nn=False):
    """The ``K`` points of ``p2`` (batch, m, 3) nearest to each of ``p1`` (batch, n, 3), nearest first.

    Returns squared distances and indices, both (batch, n, K), and the points (batch, n, K, 3) when asked for.
    """
    squared = torch.cdist(p1, p2) ** 2
    dists, idx = torch.topk(squared, K, dim=2, largest=False)
    return KNN(dists=dists, idx=idx, knn=knn_gather(p2, idx) if return_nn else None)
