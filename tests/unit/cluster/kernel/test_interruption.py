"""A write that fails at any moment: SQLite is stopped after n of its own instructions, for many n."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes.manifests import CONFIG_MAP, config_map, options, owned_by
from towpath.cluster.kernel import Kernel
from towpath.cluster.kernel.database import StorageError
from towpath.kube.objects import Object, ObjectKey
from towpath.kube.requests import DeleteOptions, Propagation

FAMILY = DeleteOptions(propagation=Propagation.FOREGROUND)


def snapshot(kernel: Kernel) -> tuple[int, list[Object], int]:
    """Everything a failed write could have touched."""
    log = kernel._store.log
    return kernel.revision, kernel.list(CONFIG_MAP).items, len(log.since(0, ObjectKey("", "ConfigMap", "", "")))


def interrupt(kernel: Kernel, *, after: int, times: int) -> Callable[[], int]:
    """Stop SQLite after so many of its instructions, for so many instructions. Returns the count so far."""
    seen = 0

    def step() -> int:
        nonlocal seen
        seen += 1
        return int(after < seen <= after + times)

    kernel._store._connection.set_progress_handler(step, 1)
    return lambda: seen


def make_family(kernel: Kernel) -> None:
    owner = kernel.create(config_map("owner"), options()).object
    for number in range(3):
        kernel.create(config_map(f"child-{number}", ownerReferences=owned_by(owner, blocks=True)), options())


# 4 instructions stop the ROLLBACK as well, which must not leave the store stuck or let uncommitted state be read.
@pytest.mark.parametrize("times", [1, 4])
def test_a_request_interrupted_anywhere_leaves_all_as_it_was(kernel: Kernel, times: int) -> None:
    make_family(kernel)
    before = snapshot(kernel)
    watch = kernel.watch(CONFIG_MAP, resource_version=str(kernel.revision))
    count = interrupt(kernel, after=10**9, times=0)
    kernel.delete(CONFIG_MAP, "owner", "default", replace(FAMILY, dry_run=True))
    for after in range(0, count(), 7):
        interrupt(kernel, after=after, times=times)
        with pytest.raises(StorageError, match="SQLITE_INTERRUPT"):
            kernel.delete(CONFIG_MAP, "owner", "default", FAMILY)
        kernel._store._connection.set_progress_handler(None, 0)
        assert snapshot(kernel) == before
        assert not watch._pending
    kernel.delete(CONFIG_MAP, "owner", "default", FAMILY)
    assert kernel.list(CONFIG_MAP).items == []
    assert len(watch._pending) > 0
