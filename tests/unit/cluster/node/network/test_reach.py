import ipaddress
import socket

import pytest

from towpath.cluster.node.network.reach import is_local_address, refuse_endpoint

PODS = ipaddress.IPv4Network("10.42.0.0/16")
LOOPBACK_PODS = ipaddress.IPv4Network("127.88.0.0/16")
DECLARED = {("127.0.0.1", 7443), ("127.0.0.1", 9100)}


def refusal(host: str, port: int = 80, pods: ipaddress.IPv4Network = PODS) -> str:
    return refuse_endpoint(host, port, pods=pods, declared=DECLARED, is_local=lambda address: address == "192.168.1.5")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.88.0.2",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - the kernel takes it for the loopback
        "224.0.0.1",
        "255.255.255.255",
        "192.168.1.5",
        "localhost",
        "metadata.internal",
        "::1",
        "::ffff:127.0.0.1",
        "2130706433",
        "127.1",
        "",
    ],
)
def test_what_only_this_machine_reaches_is_refused(host: str) -> None:
    assert refusal(host)


@pytest.mark.parametrize("host", ["10.42.0.7", "192.168.1.6", "203.0.113.9"])
def test_pods_and_other_machines_are_reached(host: str) -> None:
    assert refusal(host) == ""


def test_pods_without_a_network_of_their_own_are_reached_on_the_loopback() -> None:
    assert refusal("127.88.0.2", pods=LOOPBACK_PODS) == ""
    assert refusal("127.77.0.2", pods=LOOPBACK_PODS)


def test_on_the_host_only_what_is_declared_is_reached() -> None:
    assert refusal("127.0.0.1", 7443) == ""
    assert refusal("127.0.0.1", 9100) == ""
    assert refusal("127.0.0.1", 9101)


def test_the_machine_knows_its_own_addresses() -> None:
    assert is_local_address("127.0.0.1")
    assert not is_local_address("192.0.2.1")  # TEST-NET, never anybody's
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("192.0.2.1", 9))
        except OSError:
            return  # a machine without any route has no other address
        assert is_local_address(outward.getsockname()[0])
