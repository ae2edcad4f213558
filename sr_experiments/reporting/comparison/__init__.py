"""Several runs on one page, beside each other and beside the papers."""
