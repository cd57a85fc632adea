"""Tar archives, read without unpacking them and unpacked safely."""
