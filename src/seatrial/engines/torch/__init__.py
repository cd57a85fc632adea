"""The reference engine: the network as it is in PyTorch."""
