"""The kernel of the embedded cluster: objects on disk under the rules of the Kubernetes API, without HTTP."""

from towpath.cluster.kernel.kernel import Kernel
from towpath.cluster.kernel.paging import ObjectPage
from towpath.cluster.kernel.watch import Watch
from towpath.cluster.kernel.written import Written

__all__ = ["Kernel", "ObjectPage", "Watch", "Written"]
