"""The local page: runs listed and compared, work followed, an image tried on every engine of a run."""
