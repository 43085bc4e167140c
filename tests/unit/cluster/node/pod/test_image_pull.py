import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.container_runs import FakeImages
from fakes.node_world import RecordedEvents
from towpath.cluster.node.image.tarball import LayerError
from towpath.cluster.node.pod.image_pull import ImagePuller, describe_bad_name, describe_failure
from towpath.cluster.node.pod.state import Waiting
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.reference import Reference
from towpath.ociclient.errors import Failure, PullCause, PullError

IMAGE = "registry.test/app:v1"
REFERENCE = Reference.parse(IMAGE)
MISSING = PullError(REFERENCE, Failure(PullCause.NOT_FOUND, "x", status=404))


class Pull:
    """One container that wants its image."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.images = FakeImages()
        self.events = RecordedEvents()
        self.waiting: list[Waiting] = []
        self.keyring = Keyring()
        self.hurry = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        hurry, timer = asyncio.ensure_future(self.hurry.wait()), asyncio.ensure_future(self.clock.sleep(seconds))
        await asyncio.wait({hurry, timer}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        timer.cancel()
        self.hurry.clear()

    async def read_keyring(self) -> Keyring:
        return self.keyring

    def begin(self, **container: Any) -> asyncio.Task[Any]:
        puller = ImagePuller(
            self.images, keyring=self.read_keyring, pause=self.pause, events=self.events, clock=self.clock
        )
        spec = {"name": "app", "image": IMAGE, **container}
        pod = {"metadata": {"name": "web"}, "spec": {"containers": [spec]}}
        return asyncio.create_task(puller.ensure(pod, spec, self.waiting.append))


@pytest.fixture
async def pull() -> AsyncIterator[Pull]:
    before = asyncio.all_tasks()
    yield Pull()
    for task in asyncio.all_tasks() - before:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_image_that_is_there_is_used_without_a_pull(pull: Pull) -> None:
    pull.images.present.add(IMAGE)
    await pull.begin()
    assert pull.images.pulls == []
    message = f'Container image "{IMAGE}" already present on machine and can be accessed by the pod'
    assert pull.events.said == [("Pulled", message)]


async def test_an_image_that_others_pulled_is_asked_for_with_the_pods_own_credentials(pull: Pull) -> None:
    pull.images.present.add(IMAGE)
    pull.images.accessible = False
    pull.images.failure = MISSING
    pull.begin(imagePullPolicy="IfNotPresent")
    await pull.clock.advance(0)
    assert pull.waiting[-1].reason == "ErrImagePull"


async def test_an_image_that_others_pulled_is_not_there_for_who_may_not_pull(pull: Pull) -> None:
    pull.images.present.add(IMAGE)
    pull.images.accessible = False
    pull.begin(imagePullPolicy="Never")
    await pull.clock.advance(0)
    assert pull.waiting[-1].reason == "ErrImageNeverPull"
    assert pull.events.messages("Failed") == ["Error: ErrImageNeverPull"]


async def test_a_pull_is_told_with_the_time_it_took(pull: Pull) -> None:
    pull.keyring = Keyring.of({"registry.test": Credential("u", "p")})
    await pull.begin()
    assert pull.images.pulls == [pull.keyring]
    assert [reason for reason, _ in pull.events.said] == ["Pulling", "Pulled"]
    told = f'Successfully pulled image "{IMAGE}" in 0s (0s including waiting). Image size: 0 bytes.'
    assert pull.events.messages("Pulled") == [told]


async def test_a_failure_shows_itself_then_backs_off_and_doubles(pull: Pull) -> None:
    pull.images.failure = MISSING
    pull.begin()
    await pull.clock.advance(0)
    assert [state.reason for state in pull.waiting] == ["ErrImagePull"]
    await pull.clock.advance(1)
    assert pull.waiting[-1].reason == "ImagePullBackOff"
    assert pull.waiting[-1].message.startswith(f'Back-off pulling image "{IMAGE}"')
    for moment, pulls in ((9, 2), (19.9, 2), (0.2, 3), (39.7, 3), (0.2, 4)):
        await pull.clock.advance(moment)
        assert len(pull.images.pulls) == pulls
    assert f'Failed to pull image "{IMAGE}": {describe_failure(IMAGE, MISSING)}' in pull.events.messages("Failed")
    assert {"Error: ErrImagePull", "Error: ImagePullBackOff"} <= set(pull.events.messages("Failed"))
    assert pull.events.messages("BackOff")[0] == f'Back-off pulling image "{IMAGE}"'


async def test_a_change_cuts_the_back_off_short(pull: Pull) -> None:
    pull.images.failure = MISSING
    task = pull.begin()
    await pull.clock.advance(1.5)
    pull.images.failure = None
    pull.hurry.set()
    await pull.clock.settle()
    assert task.done()


async def test_an_image_that_may_not_be_pulled_is_awaited(pull: Pull) -> None:
    task = pull.begin(imagePullPolicy="Never")
    await pull.clock.advance(0)
    assert pull.waiting[-1] == Waiting(
        "ErrImageNeverPull", f'Container image "{IMAGE}" is not present with pull policy of Never'
    )
    pull.images.present.add(IMAGE)
    await pull.clock.advance(30)
    assert task.done()
    assert pull.images.pulls == []


async def test_a_name_that_is_none_is_never_asked_for(pull: Pull) -> None:
    pull.begin(image="Bad Name")
    await pull.clock.advance(60)
    assert pull.waiting[-1].reason == "InvalidImageName"
    assert pull.images.pulls == []


def test_failures_read_as_the_kubelet_prints_them() -> None:
    assert describe_failure(IMAGE, MISSING) == (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": '
        f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
    )
    damaged = describe_failure(IMAGE, LayerError("layer is damaged (Digest)"))
    assert damaged.endswith(f'failed to pull and unpack image "{IMAGE}": layer is damaged (Digest)')
    refused = PullError(REFERENCE, Failure(PullCause.TOKEN_REFUSED, "x", status=401))
    assert describe_failure(IMAGE, refused).startswith(f'failed to pull and unpack image "{IMAGE}": ')
    assert describe_failure(IMAGE, OSError(28, "No space left on device")).endswith("No space left on device")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("App", ": repository name (library/App) must be lowercase"),
        ("acme/App:v1", ": repository name (acme/App) must be lowercase"),
        ("ghcr.io/acme/App:v1", ": repository name (acme/App) must be lowercase"),
        ("localhost:5000/App", ": repository name (App) must be lowercase"),
        ("bad name", ""),
    ],
)
def test_a_bad_name_is_described_as_upstream_does(name: str, problem: str) -> None:
    assert describe_bad_name(name) == f"invalid reference format{problem}"
