"""The workload controllers of the embedded cluster: what makes ReplicaSets of Deployments, and pods of those.

One controller a file, level-triggered on a queue of names; its decisions stand beside it in a pure `*_plan` module.
They read from shared caches (`informer`) and write through the port in `ports`; they know neither store nor HTTP, and
they never run anything: pods are the node agent's. Namespaces, garbage collection and defaults are the kernel's.
"""

from towpath.cluster.controllers.controllers import Controllers

__all__ = ["Controllers"]
