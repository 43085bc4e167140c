"""What keeps a registry in bounds and whole: collection of garbage that proves what it keeps, quotas, and the scrub.

`facts` are plain values of what is there, `plan` (pure) decides and gives the reasons, `collection` carries a plan out
while pushes and pulls go on, `usage` counts, `quota` limits, `scrub` looks for bit rot and mends it. Why a manifest is
needed outside of the registry (Git, the cluster, rollbacks) is told through the port `evidence.Evidence`.
"""
