"""Choices become facts: option over environment over site over recipe."""
