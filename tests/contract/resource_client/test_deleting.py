import pytest

from contract.resource_client.worlds import (
    CONFIG_MAP,
    NAMESPACE,
    World,
    eventually,
    options,
    owner_reference,
)
from towpath.kube.errors import ApiConflictError, ApiNotFoundError, ForbiddenError, InvalidError
from towpath.kube.objects import Object
from towpath.kube.requests import DeleteOptions, Propagation

FINALIZER = "contract.test/hold"


async def make_family(world: World, *, blocks: bool = False) -> Object:
    owner = await world.client.create(world.config_map("owner"), options())
    references = [owner_reference(owner, blocks=blocks)]
    await world.client.create(world.config_map("child", ownerReferences=references), options())
    return owner


async def test_a_finalizer_keeps_a_deleted_object_until_it_is_removed(world: World) -> None:
    await world.client.create(world.config_map(finalizers=[FINALIZER]), options())
    await world.delete(CONFIG_MAP, "settings")
    marked = await world.get(CONFIG_MAP, "settings")
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": None}})
    assert await world.is_gone(CONFIG_MAP, "settings")


async def test_deleting_twice_changes_nothing_more(world: World) -> None:
    await world.client.create(world.config_map(finalizers=[FINALIZER]), options())
    await world.delete(CONFIG_MAP, "settings")
    marked = await world.get(CONFIG_MAP, "settings")
    await world.delete(CONFIG_MAP, "settings")
    assert await world.get(CONFIG_MAP, "settings") == marked
    await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": None}})


async def test_a_deletion_cannot_be_taken_back(world: World) -> None:
    await world.client.create(world.config_map(finalizers=[FINALIZER]), options())
    await world.delete(CONFIG_MAP, "settings")
    kept = await world.merge(CONFIG_MAP, "settings", {"metadata": {"deletionTimestamp": None}})
    assert kept["metadata"]["deletionTimestamp"]
    with pytest.raises(InvalidError, match="no new finalizers can be added if the object is being deleted"):
        await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": [FINALIZER, "contract.test/more"]}})
    await world.merge(CONFIG_MAP, "settings", {"metadata": {"finalizers": None}})


async def test_preconditions_protect_a_namesake(world: World) -> None:
    created = await world.client.create(world.config_map(), options())
    other = DeleteOptions(uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(ApiConflictError, match=r'on ConfigMap "settings": the UID in the precondition \(0+-'):
        await world.client.delete(CONFIG_MAP, "settings", world.namespace, other)
    with pytest.raises(ApiConflictError, match="ResourceVersion in the precondition"):
        await world.client.delete(CONFIG_MAP, "settings", world.namespace, DeleteOptions(resource_version="1"))
    metadata = created["metadata"]
    exact = DeleteOptions(uid=metadata["uid"], resource_version=metadata["resourceVersion"])
    await world.client.delete(CONFIG_MAP, "settings", world.namespace, exact)
    assert await world.is_gone(CONFIG_MAP, "settings")


async def test_a_dry_run_deletes_nothing(world: World) -> None:
    created = await world.client.create(world.config_map(), options())
    await world.client.delete(CONFIG_MAP, "settings", world.namespace, DeleteOptions(dry_run=True))
    assert await world.get(CONFIG_MAP, "settings") == created


async def test_background_deletion_takes_the_dependents_along(world: World) -> None:
    await make_family(world)
    await world.delete(CONFIG_MAP, "owner", Propagation.BACKGROUND)
    assert await world.is_gone(CONFIG_MAP, "owner")
    await eventually(lambda: world.is_gone(CONFIG_MAP, "child"))


async def test_orphans_stay_without_the_reference(world: World) -> None:
    await make_family(world)
    await world.delete(CONFIG_MAP, "owner", Propagation.ORPHAN)
    await eventually(lambda: world.is_gone(CONFIG_MAP, "owner"))
    assert "ownerReferences" not in (await world.get(CONFIG_MAP, "child"))["metadata"]


async def test_foreground_deletion_waits_for_blocking_dependents(world: World) -> None:
    await make_family(world, blocks=True)
    await world.merge(CONFIG_MAP, "child", {"metadata": {"finalizers": [FINALIZER]}})
    await world.delete(CONFIG_MAP, "owner", Propagation.FOREGROUND)
    waiting = await world.get(CONFIG_MAP, "owner")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert waiting["metadata"]["deletionTimestamp"]

    async def child_is_marked() -> bool:
        return "deletionTimestamp" in (await world.get(CONFIG_MAP, "child"))["metadata"]

    await eventually(child_is_marked)
    await world.merge(CONFIG_MAP, "child", {"metadata": {"finalizers": None}})
    await eventually(lambda: world.is_gone(CONFIG_MAP, "owner"))
    assert await world.is_gone(CONFIG_MAP, "child")


async def test_a_dependent_with_another_owner_left_stays_and_forgets_the_one_that_went(world: World) -> None:
    first = await world.client.create(world.config_map("first"), options())
    second = await world.client.create(world.config_map("second"), options())
    references = [owner_reference(first), owner_reference(second)]
    await world.client.create(world.config_map("child", ownerReferences=references), options())
    await world.delete(CONFIG_MAP, "first")

    async def has_one_owner() -> bool:
        owners = (await world.get(CONFIG_MAP, "child"))["metadata"]["ownerReferences"]
        return [owner["name"] for owner in owners] == ["second"]

    await eventually(has_one_owner)


async def test_an_object_whose_owner_never_was_is_collected(world: World) -> None:
    ghost = owner_reference(world.config_map("ghost", uid="11111111-1111-1111-1111-111111111111"))
    await world.client.create(world.config_map("child", ownerReferences=[ghost]), options())
    await eventually(lambda: world.is_gone(CONFIG_MAP, "child"))


async def test_a_deleted_namespace_takes_its_content_along(world: World) -> None:
    name = f"{world.namespace}-x"
    await world.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, options())
    content = world.config_map(finalizers=[FINALIZER])
    content["metadata"]["namespace"] = name
    await world.client.create(content, options())
    await world.client.delete(NAMESPACE, name, "", DeleteOptions())

    terminating = await world.client.get(NAMESPACE, name)
    assert terminating["status"]["phase"] == "Terminating"
    content["metadata"]["name"] = "late"
    with pytest.raises(ForbiddenError, match="because it is being terminated") as caught:
        await world.client.create(content, options())
    assert caught.value.causes[0]["reason"] == "NamespaceTerminating"

    async def content_is_marked() -> bool:
        return "deletionTimestamp" in (await world.client.get(CONFIG_MAP, "settings", name))["metadata"]

    async def namespace_is_gone() -> bool:
        try:
            await world.client.get(NAMESPACE, name)
        except ApiNotFoundError:
            return True
        return False

    await eventually(content_is_marked)
    content["metadata"] |= {"name": "settings", "finalizers": []}
    await world.client.update(content, options())
    await eventually(namespace_is_gone)


async def test_every_namespace_has_a_default_account_and_the_cluster_s_certificate(world: World) -> None:
    async def is_furnished() -> bool:
        try:
            config_map = await world.get(CONFIG_MAP, "kube-root-ca.crt")
            return bool(config_map["data"]["ca.crt"])
        except ApiNotFoundError:
            return False

    await eventually(is_furnished)
