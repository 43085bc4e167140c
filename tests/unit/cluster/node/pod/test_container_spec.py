import signal

import pytest

from towpath.cluster.node.image.user import User
from towpath.cluster.node.pod.container_spec import (
    ContainerConfigError,
    apply_security,
    limits_of,
    security_of,
    stop_signal,
)


def test_the_containers_security_context_lies_over_the_pods() -> None:
    pod = {"spec": {"securityContext": {"runAsUser": 1, "runAsGroup": 2}}}
    assert security_of(pod, {"securityContext": {"runAsUser": 3}}) == {"runAsUser": 3, "runAsGroup": 2}


def test_the_user_asked_for_replaces_the_images() -> None:
    assert apply_security(User(1, 2, "/h"), {"runAsUser": 0, "runAsGroup": 5}, image_user="app", who="") == User(
        0, 5, "/h"
    )
    assert apply_security(User(1, 2, "/h"), {}, image_user="app", who="") == User(1, 2, "/h")


@pytest.mark.parametrize(
    ("user", "image_user", "security", "text"),
    [
        (User(0, 0), "", {}, "container has runAsNonRoot and image will run as root"),
        (User(7, 7), "app", {}, "image has non-numeric user (app), cannot verify user is non-root"),
        (User(7, 7), "7", {"runAsUser": 0}, "container's runAsUser breaks non-root policy"),
    ],
)
def test_root_is_refused_where_it_is_forbidden(
    user: User, image_user: str, security: dict[str, int], text: str
) -> None:
    with pytest.raises(ContainerConfigError) as caught:
        apply_security(
            user, {"runAsNonRoot": True, **security}, image_user=image_user, who='(pod: "web_dev(u)", container: app)'
        )
    assert f'{text} (pod: "web_dev(u)", container: app)' in caught.value.message


def test_a_numeric_user_satisfies_the_demand() -> None:
    assert apply_security(User(7, 7), {"runAsNonRoot": True}, image_user="7", who="").uid == 7


def test_limits_are_read_as_quantities() -> None:
    limits = limits_of({"resources": {"limits": {"memory": "64Mi", "cpu": "250m"}}})
    assert (limits.memory_bytes, limits.cpu_cores) == (64 << 20, 0.25)
    assert limits_of({}).memory_bytes == 0


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGINT", 2),
        ("int", 2),
        ("15", 15),
        ("SIGNOPE", signal.SIGTERM),
        ("9999", signal.SIGTERM),
    ],
)
def test_a_stop_signal_is_a_name_or_a_number(name: str, number: int) -> None:
    assert stop_signal(name) == number
