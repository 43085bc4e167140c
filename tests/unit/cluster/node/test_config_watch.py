import asyncio
from collections.abc import AsyncIterator

from towpath.cluster.node.config_watch import EVERYTHING, follow_changes
from towpath.cluster.node.pod.references import CONFIG_MAP, ConfigKey
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import EventType, ObjectList, WatchEvent


def config_map(name: str) -> Object:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "dev"}}


class Api:
    """Watches that play scripts, one after the other; an exception at the end of a script is raised."""

    def __init__(self, *scripts: list[WatchEvent | Exception]) -> None:
        self.scripts = list(scripts)
        self.versions: list[str] = []

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:  # noqa: ARG002
        return ObjectList([], str(len(self.versions)))

    async def watch(
        self,
        gvk: GVK,  # noqa: ARG002
        namespace: str = "",  # noqa: ARG002
        *,
        labels: str = "",  # noqa: ARG002
        fields: str = "",  # noqa: ARG002
        resource_version: str = "",
    ) -> AsyncIterator[WatchEvent]:
        self.versions.append(resource_version)
        for step in self.scripts.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step


async def told(api: Api) -> list[tuple[str, ConfigKey]]:
    found: list[tuple[str, ConfigKey]] = []
    await asyncio.wait_for(follow_changes(api, CONFIG_MAP, lambda *change: found.append(change)), 10)
    return found


async def test_every_change_is_told_by_name_and_bookmarks_are_not() -> None:
    events = [
        WatchEvent(EventType.ADDED, config_map("a")),
        WatchEvent(EventType.BOOKMARK, config_map("b")),
        WatchEvent(EventType.DELETED, config_map("c")),
    ]
    assert await told(Api(list(events))) == [("dev", ConfigKey("ConfigMap", "a")), ("dev", ConfigKey("ConfigMap", "c"))]


async def test_after_a_gap_everything_may_have_changed() -> None:
    api = Api([ExpiredError("old")], [WatchEvent(EventType.MODIFIED, config_map("a"))])
    assert await told(api) == [EVERYTHING, ("dev", ConfigKey("ConfigMap", "a"))]
    assert api.versions == ["0", "1"]
