"""Ascend: the graph compiled by `atc`, run by `ais_bench`. Tested against emulators of both; has not met hardware."""
