"""Makes the runtime match Git: plan, apply, prune, health, drift, and the controller that repeats them.

It speaks only to the ports in `ports.py`; whether a real Kubernetes or the embedded cluster answers is not its
business.
"""
