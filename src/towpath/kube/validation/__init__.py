"""The rules of the API server for well-typed objects, and the limits of the embedded cluster.

`validate` returns the causes of a 422 in upstream's words; `unsupported` returns warnings about fields that are
accepted and have no effect here. What would change meaning if it were passed over is refused by `validate` (the table
of both is `support`). Call them on canonical, defaulted objects.

Validation of a kind starts in `objects`, that of a status written by itself in `statuses`; `metadata`, `names`, `pods`,
`containers`, `volumes`, `workloads`, `jobs`, `services` and `records` (Secrets, ConfigMaps, RBAC, Events,
EndpointSlices) hold the rules.
"""

from towpath.kube.validation.causes import Cause
from towpath.kube.validation.objects import validate
from towpath.kube.validation.statuses import validate_status
from towpath.kube.validation.support import unsupported

__all__ = ["Cause", "unsupported", "validate", "validate_status"]
