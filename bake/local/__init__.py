"""What a fresh machine needs: an engine, a registry, a virtual environment, and the demo."""
