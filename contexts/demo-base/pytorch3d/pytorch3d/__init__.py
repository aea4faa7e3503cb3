"""Stand-in for PyTorch3D: nearest neighbours in pure PyTorch, under the names of the real package."""

__version__ = "0.7.4"
