import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.reconciling import World, config
from towpath.errors import IntegrityError
from towpath.kube.objects import GVK, ObjectKey
from towpath.reconcile.inventory import Inventory, format_entry, parse_entry

NAME = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
CONFIG_MAP = GVK("", "v1", "ConfigMap")
ENTRIES = {ObjectKey("", "ConfigMap", "dev", "a"): CONFIG_MAP}


@given(st.just("") | NAME, NAME, st.sampled_from(["", "apps", "rbac.authorization.k8s.io"]))
def test_an_entry_is_read_back_as_it_was_written(namespace: str, name: str, group: str) -> None:
    key = ObjectKey(group, "Role", namespace, f"system:{name}")
    assert parse_entry(format_entry(key)) == key


@pytest.mark.parametrize("text", ["", "dev", "dev_a", "dev_a_apps", "dev__apps_Role"])
def test_a_damaged_entry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an inventory entry"):
        parse_entry(text)


def open_inventory(world: World, application: str = "home/dev") -> Inventory:
    return Inventory(world.cluster, environment="dev", application=application)


async def test_an_inventory_survives_its_writer(world: World) -> None:
    assert await open_inventory(world).load() == {}
    assert await open_inventory(world).save(ENTRIES)
    assert await open_inventory(world).load() == ENTRIES


async def test_an_unchanged_inventory_is_not_written(world: World) -> None:
    inventory = open_inventory(world)
    await inventory.save(ENTRIES)
    before = await world.writes()
    assert not await inventory.save(dict(ENTRIES))
    assert await world.writes() == before


async def test_a_missing_namespace_is_made(world: World) -> None:
    inventory = Inventory(world.cluster, environment="dev", application="home/dev", namespace="elsewhere")
    await inventory.save(ENTRIES)
    assert await world.exists(config("towpath-inventory-dev", namespace="elsewhere"))


async def test_a_damaged_inventory_prunes_nothing_and_says_what_to_do(world: World) -> None:
    await open_inventory(world).save(ENTRIES)
    damaged = config("towpath-inventory-dev", namespace="kube-system")
    await world.workloads.change(damaged, {"data": {"inventory.json": "{"}})
    with pytest.raises(IntegrityError, match="InvalidInventory") as caught:
        await open_inventory(world).load()
    assert "delete the ConfigMap" in caught.value.hint


async def test_the_inventory_of_another_platform_is_not_touched(world: World) -> None:
    await open_inventory(world, "other/dev").save(ENTRIES)
    with pytest.raises(IntegrityError, match="belongs to another platform"):
        await open_inventory(world).load()
