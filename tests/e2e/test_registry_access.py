"""Who may use the registry of a running platform: robots, pull secrets that follow the overlay, and their rotation."""

import base64
import json
import threading
from collections.abc import Iterator

import pytest

from fakes.lab import overlay_of
from fakes.platform import LivePlatform, basic


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform whose `dev` runs both services of the lab, and whose `prod` nothing yet."""
    with LivePlatform(tmp_path_factory.mktemp("access")) as platform:
        platform.write_lab()
        platform.start("--access-log", str(platform.root.parent / "access.log"))
        platform.push()
        for service in ("clock", "lamp"):
            platform.await_healthy("dev", service, platform.head())
        yield platform


def login_of(platform: LivePlatform, namespace: str) -> tuple[str, str]:
    """What the pull secret in a namespace holds."""
    shown = platform.kubectl("-n", namespace, "get", "secret", "towpath-pull", "-o", "json").out
    config = json.loads(base64.b64decode(json.loads(shown)["data"][".dockerconfigjson"]))
    (entry,) = config["auths"].values()
    return entry["username"], entry["password"]


def pull(platform: LivePlatform, login: tuple[str, str], repository: str) -> int:
    """The status of a pull by a client that starts from nothing, as a node does."""
    name = f"{platform.name}/{repository}"
    scope = f"/token?scope=repository:{name}:pull"
    status, answer = platform.request("GET", scope, headers={"Authorization": basic(*login)})
    if status != 200:
        return status
    headers = {"Authorization": f"Bearer {json.loads(answer)['token']}"}
    return platform.request("GET", f"/v2/{name}/manifests/canary", headers=headers)[0]


def secrets_of(platform: LivePlatform, environment: str) -> dict[str, object]:
    found = platform.document("secrets", "list")["secrets"]
    return next(dict(one) for one in found if one["environment"] == environment)


def test_a_pull_secret_opens_just_what_its_overlay_pins(lab: LivePlatform) -> None:
    login = login_of(lab, "dev")
    assert [pull(lab, login, service) for service in ("clock", "lamp")] == [200, 200]
    assert pull(lab, login, "sets") == 401
    repositories = secrets_of(lab, "dev")["repositories"]
    assert repositories == [f"{lab.name}/clock", f"{lab.name}/lamp"]
    assert login[1] not in lab.towpath("secrets", "list").out
    assert login[1] not in lab.towpath("secrets", "list", "-o", "json").out


def test_rotations_replace_the_secret_without_one_failed_pull(lab: LivePlatform) -> None:
    stop = threading.Event()
    statuses: list[int] = []

    def pull_for_ever() -> None:
        while not stop.is_set():
            # The login is read first and used later, as a node does: it may be the old one by then.
            login = login_of(lab, "dev")
            statuses.extend(pull(lab, login, service) for service in ("clock", "lamp"))

    first = login_of(lab, "dev")
    pullers = [threading.Thread(target=pull_for_ever) for _ in range(2)]
    for puller in pullers:
        puller.start()
    try:
        for environment in ("dev", "", "dev"):
            said = lab.towpath("secrets", "rotate", *([environment] if environment else []))
            assert "dev: the new pull secret is in dev; the old one ends at" in said.out
        lab.await_("some pulls to be made", lambda: len(statuses) >= 12)
    finally:
        stop.set()
        for puller in pullers:
            puller.join()
    last = login_of(lab, "dev")
    assert set(statuses) == {200}
    assert last != first
    assert pull(lab, last, "clock") == 200
    assert pull(lab, first, "clock") == 200  # its grace period has not passed
    assert secrets_of(lab, "dev")["state"] == "overlapping"


def test_a_rotation_of_nothing_known_is_refused(lab: LivePlatform) -> None:
    refused = lab.towpath("secrets", "rotate", "qa", expect=4)
    assert "there are dev, prod" in refused.err


def test_a_robot_works_at_once_and_is_out_at_once(lab: LivePlatform) -> None:
    repositories = f"{lab.name}/clock"
    made = lab.document("robot", "create", "ci", "--repository", repositories)
    login = ("ci", made["secret"])
    assert (pull(lab, login, "clock"), pull(lab, login, "lamp")) == (200, 401)
    assert lab.document("robot", "list")["robots"][0]["last_used"]
    assert made["secret"] not in lab.towpath("robot", "list").out
    lab.towpath("robot", "revoke", "ci")
    assert pull(lab, login, "clock") == 401


def test_a_robot_outlasts_a_restart_and_may_be_ended_while_nothing_runs(lab: LivePlatform) -> None:
    login = ("nightly", lab.document("robot", "create", "nightly", "--repository", f"{lab.name}/*")["secret"])
    lab.stop()
    log = ("--access-log", str(lab.root.parent / "access.log"))
    lab.start(*log)
    assert pull(lab, login, "clock") == 200
    lab.stop()
    lab.towpath("robot", "revoke", "nightly")
    lab.start(*log)
    assert pull(lab, login, "clock") == 401


def test_the_registrys_numbers_are_among_the_platforms(lab: LivePlatform) -> None:
    _, text = lab.request("GET", "/metrics", headers={"Authorization": f"Bearer {lab.token}"})
    assert b"towpath_registry_requests_total{" in text
    assert b"towpath_registry_blob_bytes " in text


def test_no_secret_is_in_the_access_log_nor_in_the_platforms(lab: LivePlatform) -> None:
    secret = lab.document("robot", "create", "quiet", "--repository", f"{lab.name}/*")["secret"]
    assert pull(lab, ("quiet", secret), "clock") == 200
    lab.stop()
    text = (lab.root.parent / "access.log").read_text()
    callers = {json.loads(line)["caller"] for line in text.splitlines()}
    assert {"towpath", "pull-dev", "quiet"} <= callers
    password = json.loads((lab.state / "pull-accounts.json").read_text())["accounts"][0]["secrets"][0]["secret"]
    for hidden in (secret, lab.token, password):
        assert hidden not in text
        assert hidden not in lab.log.read_text()
    lab.start("--access-log", str(lab.root.parent / "access.log"))


def test_what_the_overlay_drops_is_shut_when_it_is_gone_and_open_again_when_it_is_back(lab: LivePlatform) -> None:
    """Last: it takes a service out of `dev`, and puts it back."""
    overlay = overlay_of("dev")
    lab.git("pull", "-q", "--rebase", "towpath", "main")
    whole = (lab.root / overlay).read_text()
    lamp = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: lamp}, $patch: delete}"
    patch = f"patches:\n  - patch: |-\n      {lamp}\n"

    def opened() -> object:
        return secrets_of(lab, "dev")["repositories"]

    lab.change({overlay: whole + patch}, "Take the lamp out of dev\n\nTowpath-Prune: dev")
    lab.await_("the lamp's repository to be shut", lambda: opened() == [f"{lab.name}/clock"], show=opened)
    assert pull(lab, login_of(lab, "dev"), "lamp") == 401
    assert pull(lab, login_of(lab, "dev"), "clock") == 200

    lab.change({overlay: whole}, "Put the lamp back")
    lab.await_service("dev", "lamp", lambda one: one["health"] == "Healthy", "back")
    assert pull(lab, login_of(lab, "dev"), "lamp") == 200
