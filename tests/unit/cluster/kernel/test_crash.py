"""The kernel under `kill -9`: a child process writes and acknowledges, and dies in the middle."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.manifests import CONFIG_MAP
from towpath.cluster.kernel import Kernel
from towpath.kube.objects import name_of, resource_version_of

# Writes for ever; prints name and version of each write only after it was acknowledged.
WRITER = """
import sys, pathlib, uuid
from fakes.manifests import config_map, options
from towpath.aio.clock import SystemClock
from towpath.cluster.kernel import Kernel
from towpath.kube.requests import DeleteOptions
from fakes.manifests import CONFIG_MAP, owned_by

kernel = Kernel.open(pathlib.Path(sys.argv[1]), clock=SystemClock(), new_uid=lambda: str(uuid.uuid4()))
number = 0
while True:
    number += 1
    owner = kernel.create(config_map(f"owner-{number}"), options()).object
    kernel.create(config_map(f"child-{number}", ownerReferences=owned_by(owner)), options())
    kernel.delete(CONFIG_MAP, f"owner-{number}", "default", DeleteOptions())
    kept = kernel.create(config_map(f"kept-{number}", {"v": "x" * 5000}), options()).object
    print(kept["metadata"]["name"], kept["metadata"]["resourceVersion"], flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40, 200])
def test_acknowledged_writes_survive_and_versions_do_not_go_back(
    tmp_path: Path, open_kernel: Callable[[], Kernel], acknowledged: int
) -> None:
    argv = [sys.executable, "-c", WRITER, str(tmp_path / "cluster")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().split() for _ in range(acknowledged)]
        child.kill()
        lines += [line.split() for line in child.stdout if line.endswith("\n")]
    kernel = open_kernel()
    stored = {name_of(item): resource_version_of(item) for item in kernel.list(CONFIG_MAP).items}
    assert dict(lines).items() <= stored.items()
    assert kernel.revision >= int(lines[-1][1])
    assert kernel._store.log.revision == kernel.revision
    # Consequences are part of the write: a child without its owner cannot be seen.
    children = {name.removeprefix("child-") for name in stored if name.startswith("child-")}
    assert all(f"owner-{number}" in stored for number in children)
