"""Uplifts frozen CUDA images: from a TOML recipe to a graph of BuildKit targets."""

__version__ = "0.1.0"
