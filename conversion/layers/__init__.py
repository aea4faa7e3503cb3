"""The new stack shared out over layers below a registry's limit."""
