"""What need not be made again: wheels, compiler caches, cached steps."""
