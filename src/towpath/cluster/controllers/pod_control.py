"""Creating and deleting pods on behalf of a workload: the write, its Event, and the expectation that it will be seen.

A deletion names the pod's uid, so that a stale cache can never take a successor of the same name with it.
"""

from dataclasses import dataclass

from towpath.cluster.controllers.events import EventSource
from towpath.cluster.controllers.informer import Informer, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop, is_namespace_terminating
from towpath.cluster.controllers.pods import POD
from towpath.cluster.controllers.ports import ObjectWriter
from towpath.cluster.controllers.writes import WRITE
from towpath.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from towpath.kube.objects import Object, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions


@dataclass(frozen=True, slots=True)
class Wording:
    """The messages of the four Events; `{pod}`, `{owner}` and `{error}` are filled in."""

    created: str = "Created pod: {pod}"
    deleted: str = "Deleted pod: {pod}"
    create_failed: str = "Error creating: {error}"
    delete_failed: str = "Error deleting: {error}"


class PodControl:
    """The pods of one controller's owners."""

    def __init__(
        self,
        client: ObjectWriter,
        pods: Informer,
        loop: ControlLoop,
        events: EventSource,
        wording: Wording | None = None,
    ) -> None:
        self._client = client
        self._pods = pods
        self._loop = loop
        self._events = events
        self._wording = wording or Wording()

    async def create(self, owner: Object, pod: Object) -> Object:
        """Create a pod of `owner`.

        Raises:
            ApiError: refused; an Event on the owner says why, unless its namespace is going away.
        """
        try:
            stored = await self._client.create(pod, WRITE)
        except ApiError as error:
            if not is_namespace_terminating(error):
                message = self._wording.create_failed.format(
                    pod=name_of(pod), owner=name_of(owner), error=error.message
                )
                self._events.warning(owner, "FailedCreate", message)
            raise
        self._loop.expectations.expect_written(namespaced_name(owner), self._pods, stored)
        message = self._wording.created.format(pod=name_of(stored), owner=name_of(owner))
        self._events.normal(owner, "SuccessfulCreate", message)
        return stored

    async def delete(self, owner: Object, pod: Object) -> None:
        """Ask for the deletion of a pod of `owner`; one that is gone already is fine.

        Raises:
            ApiConflictError: it is another pod by now; reconcile again.
            ApiError: refused; an Event on the owner says why.
        """
        try:
            await self._client.delete(POD, name_of(pod), namespace_of(pod), DeleteOptions(uid=uid_of(pod)))
        except ApiNotFoundError:
            return
        except ApiConflictError:
            raise  # a namesake has taken its place: nothing failed, but this round decided on something gone
        except ApiError as error:
            message = self._wording.delete_failed.format(pod=name_of(pod), owner=name_of(owner), error=error.message)
            self._events.warning(owner, "FailedDelete", message)
            raise
        self._loop.expectations.expect_deleted(namespaced_name(owner), self._pods, pod)
        message = self._wording.deleted.format(pod=name_of(pod), owner=name_of(owner))
        self._events.normal(owner, "SuccessfulDelete", message)
