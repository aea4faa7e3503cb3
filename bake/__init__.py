"""Drives the engine: buildx bake with its progress, failures and results; facts, registries and checks."""
