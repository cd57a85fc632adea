"""Honest speed: every sample kept, a fresh process for each point, doubts said aloud."""
