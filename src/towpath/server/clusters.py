"""Which cluster a platform runs on, by its settings: the one place that knows both adapters of `runtime.Cluster`.

Each is imported when it is chosen: a platform on an outside cluster carries no embedded one, and the reverse.
"""

import ssl

from towpath.aio.clock import Clock
from towpath.oci.platform import Platform
from towpath.reconcile.parts import Settings as ReconcileSettings
from towpath.server.credentials import Credentials
from towpath.server.runtime import Cluster
from towpath.server.settings import Settings


def make_cluster(
    settings: Settings, credentials: Credentials, *, built_for: Platform, trust: ssl.SSLContext | None, clock: Clock
) -> Cluster:
    """The cluster that the settings name; nothing is started.

    Raises:
        KubeconfigError, UserError: an outside cluster is named that cannot be used.
        ConflictError, IntegrityError, OSError: the embedded cluster's store cannot be opened.
    """
    outside = settings.outside
    if outside is None:
        from towpath.server.cluster import EmbeddedCluster  # noqa: PLC0415 - see the head

        return EmbeddedCluster(settings, credentials, clock=clock, trust=trust)
    from towpath.server.outside import OutsideCluster, find_target  # noqa: PLC0415 - see the head

    return OutsideCluster(
        find_target(outside),
        in_pod=outside.kubeconfig is None,
        built_for=built_for,
        plain_http=settings.plain_http,
        trust=trust,
        clock=clock,
    )


def reconcile_settings(settings: Settings) -> ReconcileSettings:
    """How applications are reconciled there: on a cluster of others within the rights of our namespaces."""
    if settings.outside is None:
        return ReconcileSettings()
    return ReconcileSettings(inventory_namespace=settings.outside.namespace, narrow_watches=True)
