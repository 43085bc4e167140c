from typing import Any

import pytest

from towpath.cluster.node.network.names import NameTable, endpoints_of


def service(name: str, cluster_ip: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "dev"}, "spec": {"clusterIP": cluster_ip, **spec}}


def endpoint_slice(name: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}-x", "namespace": "dev", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080}, {"port": 9}],
        "endpoints": list(endpoints),
    }


READY = {"addresses": ["10.42.0.2"], "conditions": {"ready": True}, "hostname": "fleet-0"}
STARTING = {"addresses": ["10.42.0.3"], "conditions": {"ready": False}, "targetRef": {"name": "fleet-1"}}


def table(*services: dict[str, Any]) -> NameTable:
    return NameTable(
        services=lambda: services,
        slices=lambda: [endpoint_slice("fleet", READY, STARTING)],
        domain="cluster.local",
        fixed={"default/kubernetes": "10.43.0.1"},
    )


NAMES = table(service("web", "10.43.0.9"), service("fleet", "None"))


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("web.dev.svc.cluster.local", ["10.43.0.9"]),
        ("WEB.dev.svc.cluster.local.", ["10.43.0.9"]),
        ("fleet.dev.svc.cluster.local", ["10.42.0.2"]),
        ("fleet-0.fleet.dev.svc.cluster.local", ["10.42.0.2"]),
        ("fleet-1.fleet.dev.svc.cluster.local", ["10.42.0.3"]),
        ("fleet-7.fleet.dev.svc.cluster.local", None),
        ("kubernetes.default.svc.cluster.local", ["10.43.0.1"]),
        ("10-42-0-9.dev.pod.cluster.local", ["10.42.0.9"]),
        ("10-42-0-999.dev.pod.cluster.local", None),
        ("web.prod.svc.cluster.local", None),
        ("svc.cluster.local", []),
        ("example.org", None),
        ("cluster.local", None),
    ],
)
def test_names_of_the_zone(name: str, addresses: list[str] | None) -> None:
    assert NAMES.resolve(name) == addresses


def test_unready_endpoints_are_named_where_the_service_asks_for_them() -> None:
    names = table(service("fleet", "None", publishNotReadyAddresses=True))
    assert names.resolve("fleet.dev.svc.cluster.local") == ["10.42.0.2", "10.42.0.3"]


def test_endpoints_carry_ports_by_name() -> None:
    found = endpoints_of([endpoint_slice("fleet", READY, {"addresses": ["1.2.3.4"]})])
    assert [(e.address, e.ready, e.ports) for e in found] == [
        ("10.42.0.2", True, {"http": 8080, "": 9}),
        ("1.2.3.4", True, {"http": 8080, "": 9}),  # an unknown readiness counts as ready
    ]


def test_hosts_are_listed_for_naming_by_file() -> None:
    assert list(NAMES.hosts()) == [("dev", "fleet", "fleet-0", "10.42.0.2"), ("dev", "fleet", "fleet-1", "10.42.0.3")]
