"""Run folders, their tables and pictures."""
