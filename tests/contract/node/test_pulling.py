"""Why an image could not be pulled, in the very words of kubelet and containerd.

Each text is asked of both nodes: what `towpath explain` shows, and what people search for, does not depend on who runs
the pods. `Always` makes a node ask the registry although it has the image.
"""

import socket
from collections.abc import Callable

import pytest

from contract.node.worlds import BUILT, DAMAGED, World, is_ready, status_of, waiting, waits_for
from towpath.kube.health.pods import pod_health
from towpath.kube.health.report import Health
from towpath.kube.objects import Object

ALWAYS = {"imagePullPolicy": "Always"}
ABSENT_DIGEST = f"lab/app@sha256:{'0' * 64}"


async def failed_pull(world: World, name: str, image: str, **spec: object) -> str:
    """The text of ErrImagePull, which must be in every place where a person may look."""
    await world.create(world.pod(name, container={"image": image, **ALWAYS}, **spec))
    seen = await world.wait_for(name, waits_for("ErrImagePull"))
    text: str = waiting(seen)["message"]
    world.record("text", text.replace(world.lab.host, "registry.test").replace("0" * 64, "…"))
    assert pod_health(seen).status is Health.DEGRADED
    assert text in pod_health(seen).message
    assert await world.wait_for_event(name, "Pulling") == f'Pulling image "{image}"'
    await world.wait_for_event(name, "Failed", f'Failed to pull image "{image}": {text}')
    await world.wait_for_event(name, "Failed", "Error: ErrImagePull")
    return text


def head(image: str) -> str:
    return f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '


@pytest.mark.parametrize("name", ["lab/app:nope", "lab/nope:v1", ABSENT_DIGEST], ids=["tag", "repository", "digest"])
async def test_what_is_not_in_the_registry_is_not_found(world: World, name: str) -> None:
    await world.create_secret("reader")
    image = world.lab.image(name)
    text = await failed_pull(world, "absent", image)
    assert text == f"rpc error: code = NotFound desc = {head(image)}{image}: not found"


async def test_after_a_failed_pull_the_node_backs_off_and_repeats_why(world: World) -> None:
    await world.create_secret("reader")
    image = world.lab.image("lab/app:later")
    text = await failed_pull(world, "later", image)
    later = await world.wait_for("later", waits_for("ImagePullBackOff"))
    assert waiting(later)["message"] == f'Back-off pulling image "{image}": ErrImagePull: {text}'
    await world.wait_for_event("later", "Failed", "Error: ImagePullBackOff")
    assert await world.wait_for_event("later", "BackOff") == f'Back-off pulling image "{image}"'


async def test_a_wrong_password_is_told_as_a_refused_token(world: World) -> None:
    await world.create_secret("reader", secret="wrong")
    text = await failed_pull(world, "wrong", world.lab.image())
    refused = "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized"
    assert text == head(world.lab.image()) + refused


async def test_no_pull_secret_is_told_as_a_refused_anonymous_token(world: World) -> None:
    text = await failed_pull(world, "anonymous", world.lab.image(), imagePullSecrets=[])
    refused = "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
    assert text == head(world.lab.image()) + refused


async def test_a_pull_secret_for_another_registry_is_none(world: World) -> None:
    await world.create_secret("reader", host="registry.test")
    text = await failed_pull(world, "elsewhere", world.lab.image())
    assert "failed to fetch anonymous token" in text


async def test_a_pull_secret_that_is_not_there_is_named(world: World) -> None:
    await failed_pull(world, "missing", world.lab.image(), imagePullSecrets=[{"name": "absent"}])
    assert await world.wait_for_event("missing", "FailedToRetrieveImagePullSecret") == (
        "Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed."
    )


async def test_who_is_known_and_may_not_pull_is_denied(world: World) -> None:
    await world.create_secret("stranger")
    text = await failed_pull(world, "stranger", world.lab.image())
    denied = "pull access denied, repository does not exist or may require authorization: server message: "
    assert text == f"{head(world.lab.image())}{denied}insufficient_scope: authorization failed"


async def test_a_registry_that_is_down_refuses_the_connection(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        image = f"127.0.0.1:{port}/{BUILT}"
        text = await failed_pull(world, "down", image)
    asked = f'failed to do request: Head "http://127.0.0.1:{port}/v2/lab/app/manifests/v1"'
    assert text == f"{head(image)}{asked}: dial tcp 127.0.0.1:{port}: connect: connection refused"


async def test_a_registry_without_an_address_is_no_such_host(world: World) -> None:
    text = await failed_pull(world, "nowhere", "registry.invalid/lab/app:v1")
    # Go adds the name server that it asked, and sometimes why that one failed.
    asked = 'failed to do request: Head "https://registry.invalid/v2/lab/app/manifests/v1": dial tcp: lookup '
    assert text.startswith(f"{head('registry.invalid/lab/app:v1')}{asked}registry.invalid")


async def test_a_layer_that_the_registry_has_lost_fails_the_copy(world: World) -> None:
    await world.create_secret("reader")
    image = world.lab.image(DAMAGED)
    text = await failed_pull(world, "damaged", image)
    url = f"http://{world.lab.host}/v2/lab/damaged/blobs/sha256:{world.lab.lost_layer()}"
    copying = f'failed to pull and unpack image "{image}": failed to copy: httpReadSeeker: failed open: '
    assert text.startswith(f"{copying}unexpected status code {url}: 500 Internal Server Error - Server message: ")


async def test_a_mended_secret_helps_without_a_new_pod(world: World) -> None:
    await world.create_secret("reader", secret="wrong")
    await world.create(world.pod("mended", "serve", container=ALWAYS))
    await world.wait_for("mended", waits_for("ImagePullBackOff"))
    await world.replace_secret("reader")
    pod = await world.wait_for("mended", is_ready)
    assert status_of(pod)["imageID"].startswith(f"{world.lab.host}/lab/app@sha256:")


async def test_the_second_of_two_secrets_is_tried_when_the_first_is_refused(world: World) -> None:
    await world.create_secret("reader", secret="wrong", name="old")
    await world.create_secret("reader", name="new")
    secrets = [{"name": "old"}, {"name": "new"}]
    await world.create(world.pod("two", "serve", container=ALWAYS, imagePullSecrets=secrets))
    await world.wait_for("two", is_ready)


async def test_what_one_pod_pulled_with_its_secret_is_not_for_a_pod_without(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("owner", "serve"))
    await world.wait_for("owner", is_ready)
    await world.create(world.pod("other", "serve", imagePullSecrets=[]))
    seen = await world.wait_for("other", waits_for("ErrImagePull"))
    assert "failed to fetch anonymous token" in waiting(seen)["message"]


async def test_a_pull_is_told_with_its_time_and_the_images_size(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("pulled", "serve", container=ALWAYS))
    await world.wait_for("pulled", is_ready)
    message = await world.wait_for_event("pulled", "Pulled")
    before, _, size = message.partition(" including waiting). Image size: ")
    assert before.startswith(f'Successfully pulled image "{world.lab.image()}" in ')
    assert size == f"{world.lab.size()} bytes."


async def test_an_image_that_is_there_is_told_so(world: World) -> None:
    await world.create_secret("reader")
    await world.create(world.pod("first", "serve"))
    await world.wait_for("first", is_ready)
    await world.create(world.pod("second", "serve"))
    await world.wait_for("second", is_ready)
    assert await world.wait_for_event("second", "Pulled") == (
        f'Container image "{world.lab.image()}" already present on machine and can be accessed by the pod'
    )


@pytest.mark.parametrize(
    ("image", "policy", "reason", "message"),
    [
        (
            "acme/App:v1",
            "Always",
            "InvalidImageName",
            (
                'Failed to apply default image tag "acme/App:v1": couldn\'t parse image name "acme/App:v1": '
                "invalid reference format: repository name (acme/App) must be lowercase"
            ),
        ),
        (
            "registry.test/app:v1",
            "Never",
            "ErrImageNeverPull",
            'Container image "registry.test/app:v1" is not present with pull policy of Never',
        ),
    ],
)
async def test_what_is_not_even_asked_for_says_why(
    world: World, image: str, policy: str, reason: str, message: str
) -> None:
    await world.create(world.pod("odd", container={"image": image, "imagePullPolicy": policy}))
    is_told: Callable[[Object], bool] = waits_for(reason)
    assert waiting(await world.wait_for("odd", is_told))["message"] == message
    await world.wait_for_event("odd", "Failed", f"Error: {reason}")
