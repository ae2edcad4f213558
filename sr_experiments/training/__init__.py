"""The parts of a training run: its stages, what they are made of, and how they are checked."""
