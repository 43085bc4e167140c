"""The inventory: which objects an application has applied, so that those Git drops can be pruned.

It is a ConfigMap `towpath-inventory-<environment>`, in a namespace of the platform's choice, so it survives a restart.
Objects enter it before they are applied and leave it after they are gone: a crash in between can only remember too
much, never forget. Entries are `<namespace>_<name>_<group>_<kind>` with the version, as Flux writes them. Nothing is
written when nothing changes.
"""

import json
from collections.abc import Mapping

from towpath.errors import IntegrityError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, ObjectKey
from towpath.kube.requests import WriteOptions
from towpath.reconcile.marks import FIELD_MANAGER
from towpath.reconcile.ports import ResourceClient

NAMESPACE = "kube-system"
_CONFIG_MAP = GVK("", "v1", "ConfigMap")
_DATA_KEY = "inventory.json"
_PARTS = 4


def format_entry(key: ObjectKey) -> str:
    """`dev_sensor_apps_StatefulSet`. Colons, which RBAC names may hold, become double underscores."""
    return f"{key.namespace}_{key.name.replace(':', '__')}_{key.group}_{key.kind}"


def parse_entry(text: str) -> ObjectKey:
    """The inverse of `format_entry`.

    Raises:
        ValueError: not an inventory entry.
    """
    namespace, _, rest = text.partition("_")
    parts = rest.rsplit("_", 2)
    if len(parts) != _PARTS - 1 or not parts[0]:
        raise ValueError(f"not an inventory entry: {text!r}")
    name, group, kind = parts
    return ObjectKey(group, kind, namespace, name.replace("__", ":"))


class Inventory:
    """The inventory of one application."""

    def __init__(
        self, client: ResourceClient, *, environment: str, application: str, namespace: str = NAMESPACE
    ) -> None:
        self._client = client
        self._name = f"towpath-inventory-{environment}"
        self._application = application
        self._namespace = namespace
        self._entries: dict[ObjectKey, GVK] | None = None

    async def load(self) -> dict[ObjectKey, GVK]:
        """The objects applied before; read once, then remembered (this process is the only writer).

        Raises:
            IntegrityError: the ConfigMap is not readable; nothing may be pruned on a guess.
        """
        if self._entries is None:
            try:
                stored = await self._client.get(_CONFIG_MAP, self._name, self._namespace)
            except ApiNotFoundError:
                self._entries = {}
            else:
                self._entries = self._parse(stored)
        return dict(self._entries)

    async def save(self, entries: Mapping[ObjectKey, GVK]) -> bool:
        """Make these the inventory; False if they are already."""
        if dict(entries) == await self.load():
            return False
        obj = self._format(entries)
        options = WriteOptions(field_manager=FIELD_MANAGER, force=True)
        # Forgotten until the write is acknowledged: after a failure the stored truth counts.
        self._entries = None
        try:
            await self._client.apply(obj, options)
        except ApiNotFoundError:
            await self._client.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}, options
            )
            await self._client.apply(obj, options)
        self._entries = dict(entries)
        return True

    def _format(self, entries: Mapping[ObjectKey, GVK]) -> Object:
        lines = sorted((format_entry(key), gvk.version) for key, gvk in entries.items())
        text = json.dumps({"application": self._application, "entries": dict(lines)}, indent=0)
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "data": {_DATA_KEY: text},
        }

    def _parse(self, stored: Object) -> dict[ObjectKey, GVK]:
        try:
            document = json.loads((stored.get("data") or {})[_DATA_KEY])
            owner, entries = document["application"], document["entries"]
            parsed = {parse_entry(entry): version for entry, version in entries.items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise IntegrityError(
                f"inventory {self._namespace}/{self._name} could not be read (InvalidInventory): {error}",
                hint="delete the ConfigMap to start a new inventory; objects that Git has dropped then stay",
            ) from error
        if owner != self._application:
            raise IntegrityError(
                f"inventory {self._namespace}/{self._name} belongs to another platform (WrongOwner): "
                f"{owner}, expected {self._application}",
                hint="two platforms on one cluster need different environment names",
            )
        return {key: GVK(key.group, version, key.kind) for key, version in parsed.items()}
