"""An evaluation spread over a Ray cluster. Its ledger, checks and records stay in the evaluating process."""
