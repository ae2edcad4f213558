"""Find, compose and check the configuration; nothing here imports torch."""
