"""What runs where, since when, and why: ledger, timeline, explanations, metrics."""
