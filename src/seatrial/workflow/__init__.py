"""The public Python API: one function per verb. Imports happen inside each, so that a verb loads what it needs."""
