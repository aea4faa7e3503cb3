"""Failures told: causes that are known by their texts, and what to do about each."""
