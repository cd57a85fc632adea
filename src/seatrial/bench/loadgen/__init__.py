"""MLPerf's LoadGen as the clock: it sends queries to an engine and judges whether the run is valid by its rules."""
