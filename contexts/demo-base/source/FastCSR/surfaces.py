"""Loads the templates of both hemispheres."""

import torch
import torch as th


def load_pair(left, right, device="cpu"):
    """The checkpoints of both hemispheres; übliche Reihenfolge: links, rechts."""
    first = torch.load(
        left,
        map_location=device,  # may be a GPU (not here)
    )
    second = th.load(
        right,
        map_location={
            "cuda:0": device,
        }
    )
    return first, second


def merge(a, b): return {"größe": 2, "a": th.load(a), "b": th.load(b, map_location="cpu")}
