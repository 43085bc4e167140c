"""Git: read and write repositories, serve them, follow outside ones, and hear about pushes.

`repository` is the door for everyone who needs commits; `host` serves bare repositories over smart HTTP; `remote`
follows a repository by URL; `webhook` hears hints. All three end in `refs`, which compares refs with the last handled
state, so that no push is lost whichever hint is.
"""
