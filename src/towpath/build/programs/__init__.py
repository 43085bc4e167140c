"""Programs that images are given. They run there, on the standard library alone, and are never imported here."""
