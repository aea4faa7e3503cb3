"""The command line: options, and one module per group of commands."""
