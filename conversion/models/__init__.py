"""Carries pickled models from the old environment into the new one, and proves that nothing was lost.

Everything in this folder is mounted by the targets that extract, rebuild and verify models.
"""
