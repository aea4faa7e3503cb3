"""Source that the new torch breaks, patched."""
