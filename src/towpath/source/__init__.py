"""Git: bare repositories and their trees, commits by plumbing, smart HTTP hosting, webhooks, outside remotes."""
