"""Shared fixtures. Fakes of our ports live in `tests/fakes/`; nothing here patches our own modules."""
