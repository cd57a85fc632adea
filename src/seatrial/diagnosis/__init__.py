"""Which stage moved the predictions, and what explains a difference in preprocessing."""
