"""Pixels and labels: where they lie, how they are read, what is done to them before a network sees them."""
