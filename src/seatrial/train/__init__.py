"""Training a card's network from class folders to a checkpoint."""
