"""Is a user's program the network that passed: a kit of images with what is right, and what explains a difference."""
