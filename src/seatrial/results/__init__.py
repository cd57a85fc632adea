"""A run folder, read once and checked, for compare, report and workflow."""
