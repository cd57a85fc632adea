"""MLPerf's LoadGen as the clock: it asks an engine for images and says whether the run is valid by its rules."""
