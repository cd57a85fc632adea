"""Correctness: running a labelled set through an engine, and holding answers against each other."""
