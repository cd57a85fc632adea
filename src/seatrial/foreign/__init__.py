"""Files, text and names that others made: opened, parsed and kept under guard, whatever is in them."""
