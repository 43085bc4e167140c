"""The embedded Kubernetes API, in process: one writer, synchronous inside, every request one transaction.

A request and all that follows from it (garbage collection, the content of a namespace) are committed together;
watches hear of it after the commit. The parts: `writing` makes the objects, `deletion` ends them, `gc` and `namespaces`
draw the consequences, `paging` and `watch` read, `store` keeps. The methods mirror the verbs of the API; errors are
`kube.errors`.
"""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from towpath.aio.clock import Clock
from towpath.cluster.kernel import refusals
from towpath.cluster.kernel.addresses import DEFAULT_RANGE, AddressRange
from towpath.cluster.kernel.admission import Admission
from towpath.cluster.kernel.changes import Change
from towpath.cluster.kernel.deletion import Deleter
from towpath.cluster.kernel.gc import Collector
from towpath.cluster.kernel.kinds import get_resource, key_for, require_subresource
from towpath.cluster.kernel.namespaces import Namespaces
from towpath.cluster.kernel.paging import ObjectPage, read_page
from towpath.cluster.kernel.scale import scale_of
from towpath.cluster.kernel.selection import Selection
from towpath.cluster.kernel.store import Store
from towpath.cluster.kernel.watch import Hub, Watch
from towpath.cluster.kernel.writing import Writer
from towpath.cluster.kernel.written import Written
from towpath.kube.errors import BadRequestError, ExpiredError
from towpath.kube.objects import GVK, Object, ObjectKey
from towpath.kube.requests import DeleteOptions, Patch, WriteOptions
from towpath.kube.schema import Schema

Changes: TypeAlias = list[Change]  # inside the class, `list` is the verb


class Kernel:
    """The object store with the semantics of the Kubernetes API. Open it with `Kernel.open`."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        deleter: Deleter,
        collector: Collector,
        namespaces: Namespaces,
        *,
        clock: Clock,
    ) -> None:
        self._store = store
        self._writer = writer
        self._deleter = deleter
        self._collector = collector
        self._namespaces = namespaces
        self._clock = clock
        self._hub = Hub(store.revision)
        store.on_commit(self._hub.publish)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        new_uid: Callable[[], str],
        cluster_ca: bytes = b"",
        service_range: str = DEFAULT_RANGE,
    ) -> "Kernel":
        """Open the cluster kept in the directory `path`; it is made if it does not exist.

        Args:
            path: the data directory.
            clock: wall time for timestamps, waiting for bookmarks.
            new_uid: makes a fresh UUID, as text.
            cluster_ca: the PEM certificate published as `kube-root-ca.crt` in every namespace; none if empty.
            service_range: where the cluster IPs of Services come from, in CIDR form.

        Raises:
            ConflictError: another process has it open, or it is of another format version.
            IntegrityError: the file is not ours, or is damaged.
            StorageError: the disk refused.
        """
        addresses = AddressRange(service_range)
        store = Store(path, now=clock.now)
        try:
            deleter = Deleter(store, clock=clock)
            writer = Writer(store, _load_schema(), Admission(store, addresses), clock=clock, new_uid=new_uid)
            namespaces = Namespaces(store, deleter, clock=clock, new_uid=new_uid, cluster_ca=cluster_ca)
            kernel = cls(store, writer, deleter, Collector(store, deleter), namespaces, clock=clock)
            kernel.sweep()
        except BaseException:
            store.close()
            raise
        return kernel

    def close(self) -> None:
        """End every watch and let go of the files."""
        self._hub.close()
        self._store.close()

    @property
    def revision(self) -> int:
        """The newest resource version."""
        return self._store.revision

    def sweep(self) -> None:
        """Draw the consequences of everything stored, as if each object had just been written."""
        with self._store.transaction() as changes:
            self._namespaces.sweep()
            self._collector.sweep()
            self._settle(changes)

    def get(self, gvk: GVK, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        """One object, or its Scale (`subresource="scale"`). Raises ApiNotFoundError."""
        resource = get_resource(gvk)
        require_subresource(resource, subresource)
        record = self._store.find(key_for(resource, name, namespace))
        if record is None:
            raise refusals.not_found(resource, name)
        return scale_of(record.parse()) if subresource == "scale" else record.parse()

    def list(
        self,
        gvk: GVK,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectPage:
        """Matching objects in order of namespace and name, at one resource version. `limit` 0 is all of them.

        Raises:
            BadRequestError: a selector or the token makes no sense.
            ExpiredError: the token is too old.
        """
        kind = _kind_of(gvk, namespace)
        selection = Selection.parse(labels=labels, fields=fields)
        return read_page(self._store, kind, selection, limit=limit, continue_token=continue_token)

    def watch(
        self,
        gvk: GVK,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        bookmarks: bool = False,
    ) -> Watch:
        """Events after `resource_version`; without one ("" or "0"), first an ADDED for each existing object.

        With `bookmarks`, the existing objects are followed by a bookmark that says so
        (`k8s.io/initial-events-end`), and a bookmark follows about every minute.

        Raises:
            BadRequestError: a selector or the version makes no sense.
            ExpiredError: the version is too old, or newer than anything known here: list again.
        """
        kind = _kind_of(gvk, namespace)
        selection = Selection.parse(labels=labels, fields=fields)
        watch = Watch(gvk, kind.namespace, selection, hub=self._hub, clock=self._clock if bookmarks else None)
        if resource_version in {"", "0"}:
            watch.begin(record.body for record in self._store.records(kind) if selection.matches(record.parse()))
        else:
            for change in self._store.log.since(self._known_revision(kind, resource_version), kind):
                watch.offer(change)
        self._hub.add(watch, gvk)
        return watch

    def create(self, obj: Object, options: WriteOptions) -> Written:
        """Store a new object. Raises AlreadyExistsError, InvalidError, ForbiddenError, ApiNotFoundError."""
        return self._write(lambda: self._writer.create(obj, options), dry_run=options.dry_run)

    def update(self, obj: Object, options: WriteOptions) -> Written:
        """Replace an object. Raises ApiNotFoundError, ApiConflictError, InvalidError."""
        return self._write(lambda: self._writer.update(obj, options), dry_run=options.dry_run)

    def update_scale(self, gvk: GVK, scale: Object, options: WriteOptions) -> Written:
        """Replace the Scale of an object of this kind. Raises ApiNotFoundError, ApiConflictError, InvalidError."""
        return self._write(lambda: self._writer.update_scale(gvk, scale, options), dry_run=options.dry_run)

    def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Written:
        """Change some fields; with the subresource "scale", those of the Scale, which is returned.

        Raises ApiNotFoundError, ApiConflictError, InvalidError, BadRequestError.
        """
        return self._write(lambda: self._writer.patch(gvk, name, namespace, patch, options), dry_run=options.dry_run)

    def apply(self, obj: Object, options: WriteOptions) -> Written:
        """Server-side apply. Raises ApiConflictError (FieldManagerConflict causes) unless `options.force`."""
        return self._write(lambda: self._writer.apply(obj, options), dry_run=options.dry_run)

    def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> Written:
        """Delete an object or ask it to go; `removed` says which. Raises ApiNotFoundError, ApiConflictError."""
        return self._write(lambda: self._deleter.delete(gvk, name, namespace, options), dry_run=options.dry_run)

    def _write(self, request: Callable[[], Written], *, dry_run: bool) -> Written:
        with self._store.transaction(keep=not dry_run) as changes:
            self._store.sweep_expired()
            written = request()
            if not dry_run:
                self._settle(changes)
        return written

    def _settle(self, changes: Changes) -> None:
        """Draw the consequences of each change, and of the changes those make, until nothing more follows."""
        for change in changes:  # grows while it is walked
            self._collector.react(change)
            self._namespaces.react(change)

    def _known_revision(self, kind: ObjectKey, text: str) -> int:
        if not text.isdecimal():
            raise BadRequestError(f'resourceVersion: Invalid value: "{text}": must be a number')
        revision, newest = int(text), self._store.revision
        if revision > newest:
            raise ExpiredError(f"Too large resource version: {revision}, current: {newest}")
        if revision < self._store.log.oldest(kind):
            raise ExpiredError(f"too old resource version: {revision} ({self._store.log.oldest(kind)})")
        return revision


def _load_schema() -> Schema:
    return Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())


def _kind_of(gvk: GVK, namespace: str) -> ObjectKey:
    resource = get_resource(gvk)
    return ObjectKey(gvk.group, gvk.kind, namespace if resource.namespaced else "", "")
