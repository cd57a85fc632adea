"""An EMULATOR of Ascend's `ais_bench`, for tests. It has not met hardware."""
