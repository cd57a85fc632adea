"""Batches of images, decoded by threads and processes ahead of the engine."""
