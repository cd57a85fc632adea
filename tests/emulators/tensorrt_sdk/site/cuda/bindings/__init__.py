"""EMULATOR for tests: stands in front of the real `cuda.bindings`; no GPU is behind it."""
