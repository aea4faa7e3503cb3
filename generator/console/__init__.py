"""The one owner of the terminal, and what GitHub Actions shows of it."""
