"""Processes of pods: namespaces, limits, start, stop.

`argv` says how bubblewrap is called (pure), `broker` is the small child process that forks sandboxes and owns the pod
network, `launcher` is its client in the agent, `container` is one running container. Kept free of imports: the broker
loads this package and must stay small.
"""
