"""The Docker Engine: what it is and has, its GPUs, and containers that run on it."""
