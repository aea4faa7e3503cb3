from pytorch3d.ops import knn  # noqa: F401
