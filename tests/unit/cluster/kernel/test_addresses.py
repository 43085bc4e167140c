import pytest

from towpath.cluster.kernel.addresses import AddressRange


def test_a_service_made_anew_gets_the_address_it_had() -> None:
    addresses = AddressRange("10.43.0.0/16")
    first = addresses.find_free("dev", "sensor", taken=set())
    assert first == addresses.find_free("dev", "sensor", taken=set())
    assert first is not None
    assert first in addresses


def test_a_taken_address_is_not_given_again() -> None:
    addresses = AddressRange("10.43.0.0/24")
    taken: set[str] = set()
    while (address := addresses.find_free("dev", "sensor", taken=taken)) is not None:
        assert address not in taken
        taken.add(address)
    assert len(taken) == 256 - 16 - 1
    assert "10.43.0.1" not in taken
    assert "10.43.0.255" not in taken


@pytest.mark.parametrize("network", ["10.43.0.0/28", "10.43.0.1/32"])
def test_a_range_without_room_gives_nothing(network: str) -> None:
    assert AddressRange(network).find_free("dev", "sensor", taken=set()) is None


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="has host bits set"):
        AddressRange("10.43.0.1/16")


@pytest.mark.parametrize(
    ("address", "inside"), [("10.43.7.9", True), ("10.44.0.1", False), ("None", False), ("", False)]
)
def test_a_range_knows_its_addresses(address: str, inside: bool) -> None:
    assert (address in AddressRange("10.43.0.0/16")) is inside
