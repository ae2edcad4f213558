"""Train, quantise, measure and ship small super-resolution networks.

Importing the package imports nothing else: a command that only prints help or refuses a
wrong option must not wait for torch.
"""

__version__ = "0.1.0"
