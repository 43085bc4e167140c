"""Which services a push affects, and the matrix that builds them and publishes a commit's set, all or nothing."""
