"""Files that devices run, the runtimes that run them, and what they cost."""
