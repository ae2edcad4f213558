"""Pure tensor functions that several parts of the package need."""
