"""Who is told of a training's progress: files, screens and trackers."""
