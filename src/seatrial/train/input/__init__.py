"""Batches of augmented images for training."""
