"""Getting a container's image as a kubelet does: policy, pull secrets, texts, back-off.

An image that is here is used only by a pod whose credentials have been good for it; for any other it is as if it were
not here, and its registry decides. The texts are those of kubelet 1.37; `tests/contract/node` compares them.
Reasons a person sees: ErrImagePull right after a failed try, ImagePullBackOff while waiting, ErrImageNeverPull,
InvalidImageName. A wait is cut short when a pull secret of the pod changes, so that a mended secret helps at once.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.cluster.node.image.catalogue import LocalImage
from towpath.cluster.node.image.policy import Pull, default_policy, plan_pull
from towpath.cluster.node.pod.recorder import EventSink, field_path
from towpath.cluster.node.pod.restarts import PullTimer, format_elapsed
from towpath.cluster.node.pod.state import Waiting
from towpath.errors import TowpathError
from towpath.kube.objects import Object
from towpath.oci.keyring import Keyring
from towpath.oci.reference import InvalidReferenceError, Reference
from towpath.ociclient.errors import PullError

# ErrImagePull must be seen by whoever watches, before it turns into a back-off.
SHOW_ERROR_SECONDS = 1.0
# A machine may get the image by other means (an import); a look costs nothing.
NEVER_PULL_RETRY_SECONDS = 30.0


class Images(Protocol):
    """The images of this node; `image.store.ImageStore` is one."""

    def find(self, reference: Reference) -> LocalImage | None:
        """An image that is complete here."""
        ...

    def is_accessible(self, image: LocalImage, reference: Reference, keyring: Keyring) -> bool:
        """Whether who has this keyring may use an image that someone pulled, without asking its registry."""
        ...

    async def pull(self, reference: Reference, keyring: Keyring) -> LocalImage:
        """An image, complete here. Raises TowpathError, OSError."""
        ...


class ImagePuller:
    """Gets the image of one container of one pod."""

    def __init__(
        self,
        images: Images,
        *,
        keyring: Callable[[], Awaitable[Keyring]],
        pause: Callable[[float], Awaitable[None]],
        events: EventSink,
        clock: Clock,
    ) -> None:
        """Remember the parts.

        Args:
            images: the images of this node.
            keyring: reads the pod's pull secrets, afresh for each try.
            pause: waits; returns early when something the pod refers to has changed.
            events: where to tell.
            clock: measures pulls.
        """
        self._images = images
        self._keyring = keyring
        self._pause = pause
        self._events = events
        self._clock = clock
        self._timer = PullTimer()

    async def ensure(self, pod: Object, container: Object, on_waiting: Callable[[Waiting], None]) -> LocalImage:
        """The image, however long it takes; each reason to wait is told. Ends early only by cancellation."""
        text = str(container.get("image") or "")
        where = field_path(pod, container)
        while True:
            try:
                reference = Reference.parse(text)
            except InvalidReferenceError:
                problem = f'couldn\'t parse image name "{text}": {describe_bad_name(text)}'
                message = f'Failed to apply default image tag "{text}": {problem}'
                on_waiting(Waiting("InvalidImageName", message))
                self._events.warning(pod, "InspectFailed", message, field_path=where)
                self._events.warning(pod, "Failed", "Error: InvalidImageName", field_path=where)
                await self._pause(NEVER_PULL_RETRY_SECONDS)
                continue
            policy = container.get("imagePullPolicy") or default_policy(reference)
            keyring = await self._keyring()
            present = self._images.find(reference)
            if present is not None and not self._images.is_accessible(present, reference, keyring):
                present = None
            plan = plan_pull(policy, present=present is not None)
            if plan is Pull.USE and present is not None:
                message = f'Container image "{text}" already present on machine and can be accessed by the pod'
                self._events.normal(pod, "Pulled", message, field_path=where)
                return present
            if plan is Pull.REFUSE:
                message = f'Container image "{text}" is not present with pull policy of Never'
                on_waiting(Waiting("ErrImageNeverPull", message))
                self._events.warning(pod, "ErrImageNeverPull", message, field_path=where)
                self._events.warning(pod, "Failed", "Error: ErrImageNeverPull", field_path=where)
                await self._pause(NEVER_PULL_RETRY_SECONDS)
                continue
            pulled = await self._try(pod, container, reference, keyring, on_waiting)
            if pulled is not None:
                return pulled

    async def _try(
        self,
        pod: Object,
        container: Object,
        reference: Reference,
        keyring: Keyring,
        on_waiting: Callable[[Waiting], None],
    ) -> LocalImage | None:
        """One pull; None after a failure and its back-off."""
        text, where = str(container["image"]), field_path(pod, container)
        self._events.normal(pod, "Pulling", f'Pulling image "{text}"', field_path=where)
        begun = self._clock.monotonic()
        try:
            image = await self._images.pull(reference, keyring)
        except (TowpathError, OSError) as error:
            await self._back_off(pod, text, where, on_waiting, describe_failure(text, error))
            return None
        self._timer.succeeded()
        took = format_elapsed(self._clock.monotonic() - begun)
        message = f'Successfully pulled image "{text}" in {took} ({took} including waiting). '
        message += f"Image size: {image.size} bytes."
        self._events.normal(pod, "Pulled", message, field_path=where)
        return image

    async def _back_off(
        self, pod: Object, text: str, where: str, on_waiting: Callable[[Waiting], None], message: str
    ) -> None:
        on_waiting(Waiting("ErrImagePull", message))
        self._events.warning(pod, "Failed", f'Failed to pull image "{text}": {message}', field_path=where)
        self._events.warning(pod, "Failed", "Error: ErrImagePull", field_path=where)
        delay = self._timer.failed()
        await self._pause(min(SHOW_ERROR_SECONDS, delay))
        back_off = f'Back-off pulling image "{text}"'
        on_waiting(Waiting("ImagePullBackOff", f"{back_off}: ErrImagePull: {message}"))
        self._events.normal(pod, "BackOff", back_off, field_path=where)
        self._events.warning(pod, "Failed", "Error: ImagePullBackOff", field_path=where)
        await self._pause(delay - SHOW_ERROR_SECONDS)


def describe_failure(text: str, error: Exception) -> str:
    """A failed pull in the words of containerd and the kubelet, which leaves out a code that says nothing."""
    if isinstance(error, PullError):
        code = error.grpc_code
        return f"{'' if code == 'Unknown' else f'rpc error: code = {code} desc = '}{error.containerd_text(text)}"
    reason = error.message if isinstance(error, TowpathError) else str(error)
    return f'failed to pull and unpack image "{text}": {reason}'


def describe_bad_name(text: str) -> str:
    """What is wrong with the name of an image, as upstream's parser says it."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and (any(sign in first for sign in ".:") or first == "localhost" or first != first.lower())
    repository = (rest if is_host else text).partition(":")[0]
    if repository != repository.lower():
        shown = repository if is_host or "/" in repository else f"library/{repository}"
        return f"invalid reference format: repository name ({shown}) must be lowercase"
    return "invalid reference format"
