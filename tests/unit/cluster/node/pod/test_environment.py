import base64
from typing import Any

import pytest

from towpath.cluster.node.pod.environment import (
    Surroundings,
    expand,
    resolve_command,
    resolve_environment,
    service_environment,
)
from towpath.cluster.node.pod.fields import FieldError
from towpath.cluster.node.pod.references import Config, ConfigKey, MissingConfigError
from towpath.oci.image import ImageConfig
from towpath.oci.platform import Platform

POD = {
    "metadata": {"name": "web", "namespace": "dev", "uid": "u", "labels": {"app": "x"}, "annotations": {"a/b": "c"}},
    "spec": {"nodeName": "n", "serviceAccountName": "robot"},
    "status": {"podIP": "10.42.0.2", "hostIP": "127.0.0.1"},
}
CONFIG = Config(
    "dev",
    {
        ConfigKey("ConfigMap", "settings"): {"kind": "ConfigMap", "data": {"A": "1", "B": "2", "bad=name": "x"}},
        ConfigKey("Secret", "keys"): {"kind": "Secret", "data": {"K": base64.b64encode(b"s").decode(), "J": "%%%"}},
    },
)
AROUND = Surroundings(
    pod=POD, config=CONFIG, allocatable={"cpu": "4", "memory": "1Gi"}, services={"KUBERNETES_SERVICE_HOST": "10.43.0.1"}
)
IMAGE = ImageConfig(
    Platform("linux", "amd64"), env={"PATH": "/bin", "A": "image"}, entrypoint=("run",), cmd=("--default",)
)


def resolve(env: list[dict[str, Any]] | None = None, **container: Any) -> dict[str, str]:
    return resolve_environment({"name": "app", "env": env or [], **container}, IMAGE, AROUND)


def value_from(**source: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": source}


def test_later_sources_win() -> None:
    found = resolve([{"name": "B", "value": "env"}], envFrom=[{"configMapRef": {"name": "settings"}}])
    assert found == {"PATH": "/bin", "A": "1", "B": "env", "KUBERNETES_SERVICE_HOST": "10.43.0.1"}


def test_a_prefix_is_put_before_every_name() -> None:
    found = resolve(envFrom=[{"prefix": "P_", "secretRef": {"name": "keys"}}])
    assert found["P_K"] == "s"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"configMapKeyRef": {"name": "settings", "key": "B"}}, "2"),
        ({"secretKeyRef": {"name": "keys", "key": "K"}}, "s"),
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "web"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "x"),
        ({"fieldRef": {"fieldPath": "metadata.annotations['a/b']"}}, "c"),
        ({"fieldRef": {"fieldPath": "metadata.labels"}}, 'app="x"'),
        ({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}, "robot"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "10.42.0.2"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "64"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "4"),
        ({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}, "250"),
    ],
)
def test_values_from_elsewhere(source: dict[str, Any], value: str) -> None:
    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}
    assert resolve([value_from(**source)], resources=resources)["X"] == value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"configMapKeyRef": {"name": "absent", "key": "A"}}, 'configmap "absent" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "Z"}}, "couldn't find key Z in ConfigMap dev/settings"),
        ({"secretKeyRef": {"name": "absent", "key": "A"}}, 'secret "absent" not found'),
        ({"secretKeyRef": {"name": "keys", "key": "Z"}}, "couldn't find key Z in Secret dev/keys"),
    ],
)
def test_what_is_missing_is_said_in_the_kubelets_words_unless_it_is_optional(source: dict[str, Any], text: str) -> None:
    with pytest.raises(MissingConfigError) as caught:
        resolve([value_from(**source)])
    assert caught.value.message == text
    optional = {kind: {**reference, "optional": True} for kind, reference in source.items()}
    assert "X" not in resolve([value_from(**optional)])


def test_a_missing_source_of_all_variables_is_an_error_unless_it_is_optional() -> None:
    with pytest.raises(MissingConfigError):
        resolve(envFrom=[{"configMapRef": {"name": "absent"}}])
    assert "A" in resolve(envFrom=[{"secretRef": {"name": "absent", "optional": True}}])


@pytest.mark.parametrize(
    "source", [{"fieldRef": {"fieldPath": "spec.color"}}, {"resourceFieldRef": {"resource": "limits.gpu"}}, {"odd": {}}]
)
def test_a_source_that_does_not_exist_is_an_error(source: dict[str, Any]) -> None:
    with pytest.raises(FieldError):
        resolve([value_from(**source)])


def test_references_see_what_kubernetes_defines_before_them_and_not_the_image() -> None:
    env = [{"name": "FIRST", "value": "$(SECOND) $(A) $(KUBERNETES_SERVICE_HOST)"}, {"name": "SECOND", "value": "2"}]
    assert resolve(env)["FIRST"] == "$(SECOND) $(A) 10.43.0.1"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)b", "1b"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NO) $(", "$(NO) $("),
        ("$A ${A} $", "$A ${A} $"),
        ("100$$", "100$"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


@pytest.mark.parametrize(
    ("container", "command"),
    [
        ({}, ["run", "--default"]),
        ({"args": ["$(A)"]}, ["run", "1"]),
        ({"command": ["sh"]}, ["sh"]),
        ({"command": ["sh"], "args": ["-c"]}, ["sh", "-c"]),
    ],
)
def test_command_and_arguments_replace_the_images(container: dict[str, Any], command: list[str]) -> None:
    assert resolve_command(container, IMAGE, {"A": "1"}) == command


def test_service_variables_are_for_services_with_an_address() -> None:
    services = [
        {"metadata": {"name": "my-db"}, "spec": {"ports": [{"name": "sql", "port": 5432}, {"port": 1}]}},
        {"metadata": {"name": "headless"}, "spec": {"ports": [{"port": 1}]}},
    ]
    found = service_environment(services, links=True, api=("10.43.0.1", 443), address_of={"my-db": "10.43.0.9"})
    assert found["KUBERNETES_SERVICE_PORT"] == "443"
    assert found["MY_DB_SERVICE_HOST"] == "10.43.0.9"
    assert found["MY_DB_SERVICE_PORT"] == found["MY_DB_SERVICE_PORT_SQL"] == "5432"
    assert "HEADLESS_SERVICE_HOST" not in found
    alone = service_environment(services, links=False, api=("10.43.0.1", 443), address_of={"my-db": "10.43.0.9"})
    assert all(name.startswith("KUBERNETES") for name in alone)
