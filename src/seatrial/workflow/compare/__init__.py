"""What  does, for each kind of input."""
