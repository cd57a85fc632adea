"""Judging: what an engine must keep, and whether it did."""
