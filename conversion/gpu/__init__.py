"""The checks on a real card."""
