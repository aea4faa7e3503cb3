"""Loads plain weights, and whole modules where nothing else is possible."""

from torch import load
from torch import load as read_checkpoint
from torch.hub import load_state_dict_from_url as fetch  # another loader, not ours to change


def load_plain(path):
    """Tensors only: safe."""
    return load(path, weights_only=True)


def load_whole(path):
    """A whole module, said explicitly."""
    return load(path, map_location="cpu", weights_only=False)


def load_unsaid(path):
    """A whole module, as old code said it."""
    return load(path, map_location="cpu")


def load_optional(path, fallback):
    """``path``, or ``fallback`` where that is not given."""
    return read_checkpoint(path or read_checkpoint(fallback)["path"], map_location=lambda storage, _: storage)


def load_remote(address):
    """Weights from the network."""
    return fetch(address)
