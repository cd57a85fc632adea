"""Networks and their weights: build one, read a checkpoint safely, account for every key."""
