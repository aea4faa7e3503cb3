"""The report of a verification, read and written."""
