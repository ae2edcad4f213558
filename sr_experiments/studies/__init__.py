"""Mini-batch gradients: which batches stand for the whole set, and when."""
