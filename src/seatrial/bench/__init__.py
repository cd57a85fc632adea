"""Honest speed: every sample kept, a fresh process for each point, doubts in the record."""
