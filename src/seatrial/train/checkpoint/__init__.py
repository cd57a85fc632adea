"""What a training keeps: snapshots to resume from, and checkpoints for others."""
