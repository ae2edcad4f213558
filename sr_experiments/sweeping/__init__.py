"""Many jobs from one command: which they are, each in a process of its own, and their record."""
