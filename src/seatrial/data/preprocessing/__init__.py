"""From the bytes of an image file to the tensor that a network takes."""
