"""Container images in Kubernetes objects: where they stand, and new ones in their place. Pure.

A pod template may stand in any kind, also in one unknown here (an Argo `Rollout`), so every mapping that has a
`containers` list below `spec` counts as a pod spec.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from towpath.kube.objects import Object, ObjectKey, key_of

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
# CronJob nests deepest: spec.jobTemplate.spec.template.spec.
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One use of an image."""

    key: ObjectKey
    container: str
    image: str


def find_images(objects: Iterable[Object]) -> list[ContainerImage]:
    """Every container's image, in order of the objects."""
    return [
        ContainerImage(key_of(obj), str(container.get("name", "")), container["image"])
        for obj in objects
        for container in _containers(obj)
    ]


def set_images(objects: Iterable[Object], images: Mapping[str, str]) -> None:
    """Replace images in place: each container whose image is a key of `images` gets the value."""
    for obj in objects:
        for container in _containers(obj):
            container["image"] = images.get(container["image"], container["image"])


def _containers(obj: Object) -> Iterator[dict[str, Any]]:
    for pod_spec in _pod_specs(obj.get("spec"), _MAX_DEPTH):
        for name in _CONTAINER_LISTS:
            containers = pod_spec.get(name)
            for container in containers if isinstance(containers, list) else []:
                if isinstance(container, dict) and isinstance(container.get("image"), str):
                    yield container


def _pod_specs(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if not isinstance(value, dict) or depth == 0:
        return
    if isinstance(value.get("containers"), list):
        yield value
        return
    for child in value.values():
        yield from _pod_specs(child, depth - 1)
