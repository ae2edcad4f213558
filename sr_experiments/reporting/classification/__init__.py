"""What the end of a classifier's run measures and draws."""
