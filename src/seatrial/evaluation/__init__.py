"""Correctness: a labelled set through an engine, and predictions compared with predictions."""
