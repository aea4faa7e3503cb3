"""Kept from the first release, with its line ends."""

import json

import torch


def load_settings(path):
    """Not a checkpoint."""
    with open(path) as stream:
        return json.load(stream)


def load_checkpoint(path):
	"""Indented with a tab."""
	return torch.load(path)
