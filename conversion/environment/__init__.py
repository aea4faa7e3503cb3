"""What is installed, and what keeps it as it is."""
