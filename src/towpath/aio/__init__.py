"""Queues, tasks, clocks, child processes and durable files: domain-free plumbing.

Nothing here knows a word of Git, Kubernetes or OCI. It may import `errors` and the standard library only.
"""
