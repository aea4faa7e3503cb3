"""buildx: the driver that bakes, the client as a child process, builders, and the record of a bake."""
