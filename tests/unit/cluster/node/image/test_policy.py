import base64
from typing import Any

import pytest

from towpath.cluster.node.image.policy import (
    Pull,
    credential_marks,
    default_policy,
    is_accessible,
    plan_pull,
    pull_secret_names,
    read_keyring,
)
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.oci.reference import Reference


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("app", "Always"),
        ("app:latest", "Always"),
        ("app:v1", "IfNotPresent"),
        (f"app:latest@sha256:{'0' * 64}", "IfNotPresent"),
    ],
)
def test_the_default_policy_follows_the_tag(text: str, policy: str) -> None:
    assert default_policy(Reference.parse(text)) == policy


@pytest.mark.parametrize(
    ("policy", "present", "plan"),
    [
        ("Always", True, Pull.PULL),
        ("Always", False, Pull.PULL),
        ("IfNotPresent", True, Pull.USE),
        ("IfNotPresent", False, Pull.PULL),
        ("Never", True, Pull.USE),
        ("Never", False, Pull.REFUSE),
    ],
)
def test_the_policy_decides_with_what_is_there(policy: str, present: bool, plan: Pull) -> None:
    assert plan_pull(policy, present=present) is plan


def test_a_pods_own_pull_secrets_come_before_its_accounts() -> None:
    account = {"imagePullSecrets": [{"name": "theirs"}]}
    assert pull_secret_names({"spec": {"imagePullSecrets": [{"name": "own"}]}}, account) == ["own"]
    assert pull_secret_names({"spec": {}}, account) == ["theirs"]
    assert pull_secret_names({"spec": {}}, None) == []


def secret(name: str, **data: bytes) -> dict[str, Any]:
    encoded = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    return {"metadata": {"name": name}, "data": encoded}


def test_all_readable_secrets_make_one_keyring_and_the_others_are_named() -> None:
    one, two = Credential("a", "1"), Credential("b", "2")
    keyring, problems = read_keyring(
        [
            secret("first", _dockerconfigjson=format_docker_config({"registry.test": one})),
            secret("second", _dockerconfigjson=format_docker_config({"registry.test/team": two})),
            secret("empty", other=b"x"),
            secret("broken", _dockerconfigjson=b"{"),
        ]
    )
    assert keyring.find(Reference.parse("registry.test/team/app:v1")) == [two, one]
    assert len(problems) == 2
    assert problems[0] == "secret empty: it has no .dockerconfigjson"
    assert problems[1].startswith("secret broken: pull secret is invalid")


def marks(*passwords: str) -> frozenset[str]:
    # Keys of one host differ by their paths.
    entries = {f"registry.test{'/app'[: 4 - place]}": Credential("u", one) for place, one in enumerate(passwords)}
    return credential_marks(Keyring.of(entries), Reference.parse("registry.test/app:v1"), salt="s")


def test_an_image_may_be_used_with_the_credentials_it_was_pulled_with() -> None:
    assert is_accessible([marks("good")], marks("good"))
    assert is_accessible([marks("good")], marks("other", "good"))
    assert not is_accessible([marks("good")], marks("other"))
    assert not is_accessible([marks("good")], marks())
    assert not is_accessible([marks("bad", "good")], marks("bad")), "who knows which of them was good"


def test_an_image_pulled_without_credentials_is_everyones() -> None:
    assert is_accessible([marks()], marks())
    assert is_accessible([marks()], marks("any"))
    assert is_accessible(None, marks()), "a record of before grants were kept"


def test_marks_say_nothing_of_credentials_and_differ_from_image_to_image() -> None:
    keyring, reference = Keyring.of({"registry.test": Credential("u", "p")}), Reference.parse("registry.test/app")
    one, other = (credential_marks(keyring, reference, salt=salt) for salt in ("one", "other"))
    assert one != other
    assert "p" not in "".join(one).strip("0123456789abcdef")
