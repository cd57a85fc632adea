"""What is counted and timed, turned into figures: accuracy as mergeable counts, latency from every sample."""
