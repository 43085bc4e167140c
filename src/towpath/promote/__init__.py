"""The gate and what passes it: checks (one file each), comment-preserving pins, promotion commits, rollback."""
