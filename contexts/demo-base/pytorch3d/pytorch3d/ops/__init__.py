"""Operators on point clouds."""

from .knn import knn_gather, knn_points

__all__ = ["knn_gather", "knn_points"]
