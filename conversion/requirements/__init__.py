"""What extensions require of the new environment."""
