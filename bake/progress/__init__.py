"""The progress of a bake: BuildKit's raw stream, events, state, and what people see of it."""
