import pytest

from towpath.cluster.node.network.addresses import AddressPool, NoAddressError, claim_prefix


def test_addresses_are_handed_out_in_turn_and_not_reused_at_once() -> None:
    pool = AddressPool("10.42.0.0/16")
    first, second = pool.take(), pool.take()
    assert (first, second) == ("10.42.0.2", "10.42.0.3")
    pool.give_back(first)
    assert pool.take() == "10.42.0.4"


def test_a_pod_gets_the_address_it_had_if_it_is_free() -> None:
    pool = AddressPool("10.42.0.0/16")
    assert pool.take("10.42.9.9") == "10.42.9.9"
    assert pool.take("10.42.9.9") == "10.42.0.2"


@pytest.mark.parametrize("preferred", ["127.0.0.1", "10.43.0.9", "10.42.0.1", "10.42.255.255", "junk"])
def test_an_address_that_is_not_of_the_pool_is_not_honoured(preferred: str) -> None:
    assert AddressPool("10.42.0.0/16").take(preferred) == "10.42.0.2"


def test_a_used_up_range_says_so_and_starts_over_when_one_comes_back() -> None:
    pool = AddressPool("10.0.0.0/29")
    taken = [pool.take() for _ in range(5)]
    with pytest.raises(NoAddressError):
        pool.take()
    pool.give_back(taken[0])
    assert pool.take() == taken[0]


def test_two_platforms_take_different_loopback_prefixes() -> None:
    prefixes = range(201, 204)
    first, second = claim_prefix(prefixes), claim_prefix(prefixes)
    assert (first.prefix, second.prefix) == (201, 202)
    assert first.address_for("10.43.7.9") == "127.201.7.9"
    assert first.network == "127.201.0.0/16"
    first.release()
    third = claim_prefix(prefixes)
    assert third.prefix == 201
    second.release()
    third.release()
