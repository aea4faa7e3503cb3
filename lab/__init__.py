"""What `make demo` and `make real` bake from: base images made on this machine, and what is said at the end."""
