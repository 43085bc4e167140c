"""Embedded Kubernetes: one node, one writer. `kernel` stores and rules, `controllers` make workloads of objects, `node`
runs pods, `facade` speaks HTTP to kubectl. `client` is the in-process adapter of the reconciler's port.
"""
