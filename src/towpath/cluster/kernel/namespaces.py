"""The life of a namespace: what is in it from the start, and how it is emptied before it goes.

Level-triggered like `gc`: it runs after every write on what that write touched, and over everything when the kernel
opens.
 * every active namespace has a ServiceAccount `default` and, when the cluster has a certificate authority, a ConfigMap
   `kube-root-ca.crt`; clients wait for both;
 * a namespace marked for deletion has its content deleted, and goes when the last of it has gone.
"""

from collections.abc import Callable

from towpath.aio.clock import Clock, format_rfc3339
from towpath.cluster.kernel.changes import Change
from towpath.cluster.kernel.deletion import Deleter, is_finished
from towpath.cluster.kernel.store import Record, Store
from towpath.kube.objects import Object, ObjectKey, find_path, metadata_of
from towpath.kube.requests import DeleteOptions, EventType

INITIAL = ("default", "kube-system")
FINALIZER = "kubernetes"  # in spec.finalizers
DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
NAMESPACES = ObjectKey("", "Namespace", "", "")


def namespace_key(name: str) -> ObjectKey:
    """The key of the namespace itself."""
    return NAMESPACES._replace(name=name)


class Namespaces:
    """Furnishes and empties namespaces. Every method runs inside a transaction of the store."""

    def __init__(
        self, store: Store, deleter: Deleter, *, clock: Clock, new_uid: Callable[[], str], cluster_ca: bytes
    ) -> None:
        self._store = store
        self._deleter = deleter
        self._clock = clock
        self._new_uid = new_uid
        self._cluster_ca = cluster_ca

    def sweep(self) -> None:
        """Make the first namespaces, furnish the active ones, empty the others."""
        for name in INITIAL:
            if self._store.find(namespace_key(name)) is None:
                namespace = self._new_object("v1", "Namespace", "", name)
                namespace["metadata"]["labels"] = {"kubernetes.io/metadata.name": name}
                namespace |= {"spec": {"finalizers": [FINALIZER]}, "status": {"phase": "Active"}}
                self._store.put(namespace_key(name), namespace)
        for record in self._store.records(NAMESPACES):
            self._visit(record)

    def react(self, change: Change) -> None:
        """Look at what one change may have affected."""
        key = change.key
        if key.kind == "Namespace":
            record = self._store.find(key)
            if record is not None:
                self._visit(record)
        elif change.type is EventType.DELETED and key.namespace:
            record = self._store.find(namespace_key(key.namespace))
            if record is None:
                return
            if metadata_of(record.parse()).get("deletionTimestamp"):
                self._finish(record)
            elif key.name in {DEFAULT_ACCOUNT, ROOT_CA}:
                self._furnish(key.namespace)

    def _visit(self, record: Record) -> None:
        if not metadata_of(record.parse()).get("deletionTimestamp"):
            self._furnish(record.key.name)
            return
        for content in self._store.content(record.key.name):
            current = self._store.find(content.key)
            if current is not None and not metadata_of(current.parse()).get("deletionTimestamp"):
                self._deleter.delete_record(current, DeleteOptions())
        self._finish(record)

    def _finish(self, record: Record) -> None:
        if self._store.content(record.key.name):
            return
        current = self._store.find(record.key)
        if current is None:
            return
        obj = current.parse()
        finalizers = find_path(obj, "spec", "finalizers") or []
        obj.setdefault("spec", {})["finalizers"] = [item for item in finalizers if item != FINALIZER]
        if is_finished(obj):
            self._store.remove(current, obj)
        elif FINALIZER in finalizers:
            self._store.put(current.key, obj)

    def _furnish(self, namespace: str) -> None:
        account = ObjectKey("", "ServiceAccount", namespace, DEFAULT_ACCOUNT)
        if self._store.find(account) is None:
            self._store.put(account, self._new_object("v1", "ServiceAccount", namespace, DEFAULT_ACCOUNT))
        if not self._cluster_ca:
            return
        key = ObjectKey("", "ConfigMap", namespace, ROOT_CA)
        data = {"ca.crt": self._cluster_ca.decode()}
        record = self._store.find(key)
        obj = record.parse() if record else self._new_object("v1", "ConfigMap", namespace, ROOT_CA)
        if obj.get("data") != data:
            obj["data"] = data
            self._store.put(key, obj)

    def _new_object(self, api_version: str, kind: str, namespace: str, name: str) -> Object:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "uid": self._new_uid()}
        metadata["creationTimestamp"] = format_rfc3339(self._clock.now())
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
