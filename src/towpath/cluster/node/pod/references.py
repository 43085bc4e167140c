"""The ConfigMaps and Secrets a pod refers to: which ones (pure), and fetched together in one go."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from towpath.errors import UserError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, namespace_of

CONFIG_MAP = GVK("", "v1", "ConfigMap")
SECRET = GVK("", "v1", "Secret")


class ConfigKey(NamedTuple):
    """One ConfigMap or Secret of the pod's own namespace."""

    kind: str
    name: str


class ObjectGetter(Protocol):
    """The one verb needed here."""

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object. Raises ApiNotFoundError."""
        ...


class MissingConfigError(UserError):
    """A ConfigMap, a Secret or one of its keys does not exist; the text is the kubelet's."""


@dataclass(frozen=True, slots=True)
class Config:
    """What was found. `data_of` gives bytes for both kinds."""

    namespace: str
    objects: Mapping[ConfigKey, Object] = field(default_factory=dict)

    def find_data(self, key: ConfigKey) -> dict[str, bytes] | None:
        """The data of an object, or None if it does not exist."""
        obj = self.objects.get(key)
        return None if obj is None else data_of(obj)

    def get_data(self, key: ConfigKey) -> dict[str, bytes]:
        """The data of an object. Raises MissingConfigError."""
        data = self.find_data(key)
        if data is None:
            raise MissingConfigError(f'{key.kind.lower()} "{key.name}" not found')
        return data

    def get_value(self, key: ConfigKey, name: str) -> bytes:
        """One value. Raises MissingConfigError."""
        data = self.get_data(key)
        if name not in data:
            raise MissingConfigError(f"couldn't find key {name} in {key.kind} {self.namespace}/{key.name}")
        return data[name]


def referenced(pod: Object) -> set[ConfigKey]:
    """Every ConfigMap and Secret that environment or volumes of a pod name."""
    return set(_in_environment(pod)) | set(_in_volumes(pod))


async def fetch_config(client: ObjectGetter, pod: Object) -> Config:
    """All of them that exist."""
    namespace = namespace_of(pod)
    objects = {}
    for key in sorted(referenced(pod)):
        gvk = CONFIG_MAP if key.kind == "ConfigMap" else SECRET
        try:
            objects[key] = await client.get(gvk, key.name, namespace)
        except ApiNotFoundError:
            continue
    return Config(namespace, objects)


def data_of(obj: Object) -> dict[str, bytes]:
    """The values of a ConfigMap or Secret as bytes; a value that is not base64 is left out."""
    encoded = obj.get("binaryData") if obj.get("kind") == "ConfigMap" else obj.get("data")
    data = {}
    for name, value in (encoded or {}).items():
        try:
            data[name] = base64.b64decode(value, validate=True)
        except binascii.Error:
            continue
    if obj.get("kind") == "ConfigMap":
        data |= {name: str(value).encode() for name, value in (obj.get("data") or {}).items()}
    return data


def containers_of(pod: Object) -> list[Object]:
    """Init containers, then containers."""
    return [*(find_path(pod, "spec", "initContainers") or []), *(find_path(pod, "spec", "containers") or [])]


def _in_environment(pod: Object) -> Iterator[ConfigKey]:
    for container in containers_of(pod):
        for source in container.get("envFrom") or []:
            yield from _named(source, config_map="configMapRef", secret="secretRef")  # noqa: S106 - field names
        for variable in container.get("env") or []:
            origin = variable.get("valueFrom") or {}
            yield from _named(origin, config_map="configMapKeyRef", secret="secretKeyRef")  # noqa: S106


def _in_volumes(pod: Object) -> Iterator[ConfigKey]:
    for volume in find_path(pod, "spec", "volumes") or []:
        if volume.get("configMap"):
            yield ConfigKey("ConfigMap", volume["configMap"].get("name", ""))
        if volume.get("secret"):
            yield ConfigKey("Secret", volume["secret"].get("secretName", ""))
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _named(source, config_map="configMap", secret="secret")  # noqa: S106


def _named(source: Mapping[str, Any], *, config_map: str, secret: str) -> Iterator[ConfigKey]:
    if source.get(config_map):
        yield ConfigKey("ConfigMap", source[config_map].get("name", ""))
    if source.get(secret):
        yield ConfigKey("Secret", source[secret].get("name", ""))
