import base64

import orjson
import pytest

from towpath.oci.keyring import Credential, InvalidPullSecretError, Keyring, format_docker_config, matches
from towpath.oci.reference import Reference

IMAGE = Reference.parse("ghcr.io/acme/app:v1")


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("ghcr.io", "ghcr.io/acme/app", True),
        ("ghcr.io", "ghcr.io:443/acme/app", False),
        ("127.0.0.1:7070", "127.0.0.1:7070/lab/sensor", True),
        ("127.0.0.1:7071", "127.0.0.1:7070/lab/sensor", False),
        ("*.example.io", "registry.example.io/app", True),
        ("*.example.io", "a.registry.example.io/app", False),
        ("*.example.io", "example.io/app", False),
        ("reg*.example.io", "registry.example.io/app", True),
        ("ghcr.io/acme", "ghcr.io/acme/app", True),
        ("ghcr.io/acme", "ghcr.io/acme-evil/app", True),
        ("ghcr.io/acme/", "ghcr.io/acme-evil/app", False),
        ("ghcr.io/*", "ghcr.io/acme/app", False),
        ("ghcr.io/other", "ghcr.io/acme/app", False),
    ],
)
def test_keys_match_as_in_a_kubelet(key: str, name: str, expected: bool) -> None:
    assert matches(key, name) is expected


@pytest.mark.parametrize("key", ["https://ghcr.io", "http://ghcr.io/", "ghcr.io/v2/", "https://ghcr.io/v1/", "ghcr.io"])
def test_schemes_and_versions_in_a_key_are_ignored(key: str) -> None:
    assert Keyring.of({key: Credential("u", "p")}).find(IMAGE) == [Credential("u", "p")]


def test_all_matching_credentials_are_tried_longest_path_first() -> None:
    keyring = Keyring.of(
        {"ghcr.io": Credential("any", "1"), "ghcr.io/acme": Credential("acme", "2"), "quay.io": Credential("no", "3")}
    )
    assert [credential.username for credential in keyring.find(IMAGE)] == ["acme", "any"]


def test_no_match_means_an_anonymous_pull() -> None:
    assert Keyring().find(IMAGE) == []
    assert Keyring.of({"quay.io": Credential("u", "p")}).find(IMAGE) == []


def test_docker_hub_is_found_under_its_old_key() -> None:
    keyring = Keyring.of({"https://index.docker.io/v1/": Credential("u", "p")})
    assert keyring.find(Reference.parse("busybox")) == [Credential("u", "p")]
    assert keyring.find(IMAGE) == []


def test_several_secrets_become_one_keyring() -> None:
    one = Keyring.of({"ghcr.io": Credential("one", "1")})
    two = Keyring.of({"ghcr.io": Credential("two", "2"), "ghcr.io/acme": Credential("acme", "3")})
    assert [credential.username for credential in Keyring.merge([one, two]).find(IMAGE)] == ["acme", "one", "two"]


def test_secret_and_keyring_are_inverses() -> None:
    content = format_docker_config({"ghcr.io": Credential("u", "p:with:colons")})
    assert orjson.loads(content)["auths"]["ghcr.io"]["auth"] == base64.b64encode(b"u:p:with:colons").decode()
    assert Keyring.parse(content).find(IMAGE) == [Credential("u", "p:with:colons")]


def test_the_auth_field_wins_over_user_name_and_password() -> None:
    auth = base64.b64encode(b"right:right").decode()
    content = orjson.dumps({"auths": {"ghcr.io": {"username": "wrong", "password": "wrong", "auth": auth}}})
    assert Keyring.parse(content).find(IMAGE) == [Credential("right", "right")]


def test_the_old_bare_map_is_read() -> None:
    assert Keyring.parse(b'{"ghcr.io": {"username": "u", "password": "p"}}').find(IMAGE) == [Credential("u", "p")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1"),
        (b"[]", "expected an object"),
        (b'{"auths": []}', "auths: expected an object"),
        (b'{"auths": {"ghcr.io": "x"}}', r"auths\['ghcr.io'\]: expected an object"),
        (b'{"auths": {"ghcr.io": {"auth": "!!"}}}', "expected base64"),
        (b'{"auths": {"ghcr.io": {"auth": "dTpw/"}}}', "expected base64"),
        (b'{"auths": {"ghcr.io": {"auth": "aHVudGVyMg=="}}}', "got no colon"),
        (b'{"auths": {"ghcr.io": {"password": 1}}}', "password: expected a text"),
    ],
)
def test_an_unreadable_secret_is_refused_without_showing_it(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidPullSecretError, match=problem) as caught:
        Keyring.parse(content)
    assert "hunter2" not in caught.value.diagnostics()
    assert "aHVudGVyMg" not in caught.value.diagnostics()


def test_a_password_never_shows() -> None:
    assert "hunter2" not in repr(Keyring.of({"ghcr.io": Credential("u", "hunter2")}))
