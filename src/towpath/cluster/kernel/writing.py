"""Create, update, patch and apply: how a request becomes the object that is stored.

The order is upstream's:
 1. copy the request's object, without what only the server may set;
 2. unknown fields are refused, warned about or dropped (`fields`);
 3. the change itself: the patch, or server-side apply;
 4. canonical form and defaults;
 5. what this request may not touch is restored: status through the object, the rest through `/status`;
 6. managedFields (apply has done its own);
 7. what the server decides for the kind (`admission`);
 8. validation, the optimistic lock, the store.
A write that changes nothing stores nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from towpath.aio.clock import Clock, format_rfc3339
from towpath.cluster.kernel import refusals, scale
from towpath.cluster.kernel.admission import Admission
from towpath.cluster.kernel.deletion import is_finished
from towpath.cluster.kernel.fields import check_fields
from towpath.cluster.kernel.kinds import (
    CREATED_BY_UPDATE,
    STATUS_AT_CREATION,
    get_resource,
    is_counted,
    key_for,
    namespace_for,
    require_subresource,
)
from towpath.cluster.kernel.names import generate_name
from towpath.cluster.kernel.store import Record, Store
from towpath.cluster.kernel.written import Written, copy_of
from towpath.kube.apply import apply, restore_reset_fields, track_update
from towpath.kube.defaults import set_defaults
from towpath.kube.errors import ApiError, BadRequestError, InvalidError
from towpath.kube.objects import (
    GVK,
    Object,
    annotations_of,
    gvk_of,
    metadata_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)
from towpath.kube.patches import apply_patch
from towpath.kube.requests import Patch, WriteOptions
from towpath.kube.resources import Resource
from towpath.kube.schema import Schema
from towpath.kube.validation import unsupported, validate, validate_status

# Set by the server alone; a client's values are ignored.
SERVER_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
EVENT_LIFE_SECONDS = 3600.0  # upstream's --event-ttl
REVISION = "deployment.kubernetes.io/revision"
NAME_ATTEMPTS = 8  # upstream's, when a generated name is taken


@dataclass(frozen=True, slots=True)
class Target:
    """The object a write aims at: its resource, and what is stored of it."""

    resource: Resource
    record: Record
    live: Object


class Writer:
    """Writes objects. Every method runs inside a transaction of the store and leaves the caller's object alone."""

    def __init__(
        self, store: Store, schema: Schema, admission: Admission, *, clock: Clock, new_uid: Callable[[], str]
    ) -> None:
        self._store = store
        self._schema = schema
        self._admission = admission
        self._clock = clock
        self._new_uid = new_uid

    def create(self, obj: Object, options: WriteOptions) -> Written:
        """Store a new object. Raises AlreadyExistsError, InvalidError, ForbiddenError, ApiNotFoundError."""
        new: Object = copy_of(obj)
        resource = get_resource(gvk_of(new))
        namespace_for(resource, new)
        if resource_version_of(new):
            # Upstream blames itself (500), so clients that know it by that do so here too.
            raise ApiError("resourceVersion should not be set on objects to be created")
        warnings = check_fields(self._schema, new, options.field_validation)
        _drop_server_metadata(new, counted=is_counted(resource))
        new = self._schema.canonical(new)
        set_defaults(new)
        if (resource.gvk.group, resource.gvk.kind) not in STATUS_AT_CREATION:
            new = restore_reset_fields(new, None)
        return self._insert(resource, self._tracked(None, new, options), options, warnings)

    def update(self, obj: Object, options: WriteOptions) -> Written:
        """Replace an object. Raises ApiNotFoundError, ApiConflictError, InvalidError."""
        new: Object = copy_of(obj)
        resource = get_resource(gvk_of(new))
        require_subresource(resource, options.subresource)
        key = key_for(resource, name_of(new), namespace_for(resource, new))
        if (
            (resource.gvk.group, resource.gvk.kind) in CREATED_BY_UPDATE
            and not options.subresource
            and not uid_of(new)
            and not resource_version_of(new)
            and self._store.find(key) is None
        ):
            return self.create(new, options)
        warnings = check_fields(self._schema, new, options.field_validation)
        target = self.find_target(resource, key.name, key.namespace)
        return self._replace(target, new, options, warnings)

    def update_scale(self, gvk: GVK, new: Object, options: WriteOptions) -> Written:
        """Replace the Scale of an object of this kind. Returns the Scale."""
        target = self._find_scaled(gvk, name_of(new), namespace_of(new))
        return self._write_scale(target, copy_of(new), options)

    def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Written:
        """Change some fields. Raises ApiNotFoundError, ApiConflictError, InvalidError, BadRequestError."""
        if options.subresource == "scale":
            target = self._find_scaled(gvk, name, namespace)
            return self._write_scale(target, apply_patch(self._schema, scale.scale_of(target.live), patch), options)
        resource = get_resource(gvk)
        require_subresource(resource, options.subresource)
        target = self.find_target(resource, name, namespace)
        new: Object = copy_of(apply_patch(self._schema, target.record.parse(), patch))
        # A patch may take the kind away; which one was meant is known all the same.
        named = {**new, "apiVersion": gvk.api_version, "kind": gvk.kind}
        try:
            warnings = check_fields(self._schema, named, options.field_validation)
        except BadRequestError as error:  # upstream decodes a patched object later than a sent one, and says 422
            raise InvalidError(error.message) from error
        if (gvk_of(new), name_of(new), namespace_of(new)) != (gvk, name, target.record.key.namespace):
            raise BadRequestError(
                f"the patched object ({gvk_of(new)} {namespace_of(new)}/{name_of(new)}) does not match"
                f" the request ({gvk} {namespace}/{name}): kind, namespace and name cannot be changed"
            )
        return self._replace(target, new, options, warnings)

    def apply(self, obj: Object, options: WriteOptions) -> Written:
        """Server-side apply. Raises ApiConflictError (FieldManagerConflict causes) unless `options.force`."""
        config: Object = copy_of(obj)
        resource = get_resource(gvk_of(config))
        require_subresource(resource, options.subresource)
        _check_apply(config, options)
        key = key_for(resource, name_of(config), namespace_for(resource, config))
        record = self._store.find(key)
        live = record.parse() if record else None
        if live is not None:
            _check_lock(resource, config, live)
        elif options.subresource or resource_version_of(config):
            raise refusals.not_found(resource, key.name)
        elif uid_of(config):
            why = f"uid mismatch: the provided object specified uid {uid_of(config)}, and no existing object was found"
            raise refusals.conflict(resource, key.name, why)
        new = apply(
            self._schema,
            live=live,
            config=config,
            manager=options.field_manager,
            time=format_rfc3339(self._clock.now()),
            force=options.force,
            subresource=options.subresource,
        )
        if record is None:
            _drop_server_metadata(new, counted=is_counted(resource))
            set_defaults(new)
            return self._insert(resource, new, options, [])
        return self._replace(Target(resource, record, record.parse()), new, options, [], tracked=True)

    def find_target(self, resource: Resource, name: str, namespace: str) -> Target:
        """The stored object a write aims at. Raises ApiNotFoundError."""
        record = self._store.find(key_for(resource, name, namespace))
        if record is None:
            raise refusals.not_found(resource, name)
        return Target(resource, record, record.parse())

    def _insert(self, resource: Resource, new: Object, options: WriteOptions, warnings: list[str]) -> Written:
        metadata = new.setdefault("metadata", {})
        metadata["uid"] = self._new_uid()
        metadata["creationTimestamp"] = format_rfc3339(self._clock.now())
        if is_counted(resource):
            metadata["generation"] = 1
        self._name(resource, new)
        self._admission.prepare_creation(resource, new)
        self._check(resource, new, old=None)
        key = key_for(resource, name_of(new), namespace_of(new))
        if (taken := self._store.find(key)) is not None:
            deleting = "deletionTimestamp" in metadata_of(taken.parse())
            raise refusals.already_exists(resource, key.name, deleting=deleting)
        stored = self._store.put(key, new, expires=self._expiry(resource))
        if options.dry_run:
            del metadata["resourceVersion"]
        return Written(stored, [*warnings, *unsupported(stored)], created=True)

    def _replace(
        self, target: Target, new: Object, options: WriteOptions, warnings: list[str], *, tracked: bool = False
    ) -> Written:
        resource, live = target.resource, target.live
        _check_lock(resource, new, live)
        if not tracked:
            new = restore_reset_fields(self._canonical(new), target.record.parse(), options.subresource)
        _restore_server_metadata(new, live)
        if not options.subresource:
            set_defaults(new)
        if not tracked:
            new = self._tracked(live, new, options)
        if not options.subresource:  # after tracking: nobody owns what the server keeps, or takes away
            self._admission.prepare_update(resource, live=live, new=new)
        if is_counted(resource) and _wanted(new, options) != _wanted(live, options):
            new["metadata"]["generation"] = metadata_of(live).get("generation", 0) + 1
        self._check(resource, new, old=live, status=options.subresource == "status")
        _check_finalizers(resource, live=live, new=new)
        if not options.subresource:
            warnings = [*warnings, *unsupported(new)]
        if _without_times(new) == _without_times(live):
            return Written(live, warnings)
        removed = is_finished(new)
        if removed:
            stored = self._store.remove(target.record, new)
        else:
            stored = self._store.put(target.record.key, new, expires=self._expiry(resource))
        if options.dry_run:
            stored["metadata"]["resourceVersion"] = resource_version_of(live)
        return Written(stored, warnings, removed=removed)

    def _find_scaled(self, gvk: GVK, name: str, namespace: str) -> Target:
        resource = get_resource(gvk)
        require_subresource(resource, "scale")
        return self.find_target(resource, name, namespace)

    def _write_scale(self, target: Target, new: Object, options: WriteOptions) -> Written:
        options = replace(options, subresource="scale")
        written = self._replace(target, scale.scaled(target.record.parse(), new), options, [])
        return Written(scale.scale_of(written.object), written.warnings)

    def _canonical(self, new: Object) -> Object:
        """The canonical form; an empty list of managedFields, which resets ownership, is kept until it is heeded."""
        canonical = self._schema.canonical(new)
        if metadata_of(new).get("managedFields") == []:
            canonical["metadata"]["managedFields"] = []
        return canonical

    def _tracked(self, live: Object | None, new: Object, options: WriteOptions) -> Object:
        return track_update(
            self._schema,
            live=live,
            new=new,
            manager=options.field_manager,
            time=format_rfc3339(self._clock.now()),
            subresource=options.subresource,
        )

    def _check(self, resource: Resource, new: Object, *, old: Object | None, status: bool = False) -> None:
        causes = validate_status(new, old=old) if status and old is not None else validate(new, old=old)
        if causes:
            raise refusals.invalid(resource.gvk, name_of(new), causes)

    def _expiry(self, resource: Resource) -> float | None:
        return self._clock.now() + EVENT_LIFE_SECONDS if resource.gvk.kind == "Event" else None

    def _name(self, resource: Resource, new: Object) -> None:
        prefix = metadata_of(new).get("generateName")
        if name_of(new) or not prefix:
            return
        for _ in range(NAME_ATTEMPTS):
            new["metadata"]["name"] = generate_name(prefix, self._new_uid())
            if self._store.find(key_for(resource, name_of(new), namespace_of(new))) is None:
                return


def _drop_server_metadata(obj: Object, *, counted: bool = True) -> None:
    for field in (*SERVER_METADATA, "selfLink", "resourceVersion"):
        # Upstream leaves the generation of kinds it does not count to whoever creates them.
        if counted or field != "generation":
            metadata_of(obj).pop(field, None)


def _restore_server_metadata(new: Object, live: Object) -> None:
    _drop_server_metadata(new)
    kept = (*SERVER_METADATA, "resourceVersion")
    new.setdefault("metadata", {}).update({name: value for name, value in metadata_of(live).items() if name in kept})


def _check_apply(config: Object, options: WriteOptions) -> None:
    if not options.field_manager:
        cause = refusals.cause("fieldManager", "Required value: is required for apply patch", "FieldValueRequired")
        raise refusals.invalid(GVK("meta.k8s.io", "v1", "PatchOptions"), "", [cause])
    if metadata_of(config).get("managedFields"):
        raise BadRequestError("metadata.managedFields must be nil")
    if not name_of(config):
        raise BadRequestError("metadata.name must be provided to apply an object")


def _check_lock(resource: Resource, new: Object, live: Object) -> None:
    name = name_of(live)
    if uid_of(new) not in {"", uid_of(live)}:
        raise refusals.precondition_failed(resource, name, field="UID", wanted=uid_of(new), found=uid_of(live))
    if resource_version_of(new) not in {"", resource_version_of(live)}:
        raise refusals.conflict(resource, name)


def _wanted(obj: Object, options: WriteOptions) -> Object:
    """What the generation counts changes of: of a Deployment its annotations too, as they go to its ReplicaSets."""
    wanted = {field: value for field, value in obj.items() if field not in {"metadata", "status"}}
    if obj.get("kind") == "Deployment" and not options.subresource:
        # Upstream's controller writes this one through /status, which counts nothing; ours writes it with the rest.
        wanted["annotations"] = {name: text for name, text in annotations_of(obj).items() if name != REVISION}
    return wanted


def _without_times(obj: Object) -> Object:
    metadata = metadata_of(obj)
    managed = [
        {field: value for field, value in entry.items() if field != "time"}
        for entry in metadata.get("managedFields") or []
    ]
    return {**obj, "metadata": {**metadata, "managedFields": managed}}


def _check_finalizers(resource: Resource, *, live: Object, new: Object) -> None:
    added = set(metadata_of(new).get("finalizers") or []) - set(metadata_of(live).get("finalizers") or [])
    if added and metadata_of(live).get("deletionTimestamp"):
        shown = ", ".join(f'"{name}"' for name in sorted(added))
        message = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{shown}}}"
        )
        cause = refusals.cause("metadata.finalizers", message, "FieldValueForbidden")
        raise refusals.invalid(resource.gvk, name_of(live), [cause])
