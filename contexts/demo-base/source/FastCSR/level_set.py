"""Loads the networks that predict a surface's level set."""

import os

import torch

# Old code said torch.load(path) here; it is left as a comment on purpose.
HINT = "weights are read with torch.load(path)"


def load_network(model_dir, name):
    """The weights of ``name`` in ``model_dir``, on the CPU."""
    return torch.load(os.path.join(model_dir, name + ".pth"), map_location=torch.device("cpu"))


def load_opened(path):
    """The checkpoint in ``path``, which may lie in an archive that only an open file can read."""
    return torch.load(open(path, "rb"))


def load_any(path):
    """The checkpoint in ``path``, a string or a path object."""
    return torch.load(str(path))


def load_many(paths):
    """All checkpoints, in order."""
    return [torch.load(path) for path in paths]
