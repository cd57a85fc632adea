"""The README of an Ascend ModelZoo guide, filled from a run's records; written by `guide.write.write_guide`."""
