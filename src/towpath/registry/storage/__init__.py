"""Files and SQLite below the registry. Everything here blocks; `disk` is the only way to it from the event loop.

Blobs are files named by their digest, written once and never changed. Names (repositories, links, tags) and manifests
are rows, so that a manifest and its tags appear in one durable step.
"""
