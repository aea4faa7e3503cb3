"""A stand-in for torch: this base's extensions need only its builder."""

__version__ = "2.0.0"
