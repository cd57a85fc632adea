"""Logs of a training: files, the terminal and trackers."""
