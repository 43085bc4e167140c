"""A kernel in a temporary directory, with a clock and uids of the test's own."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from towpath.cluster.kernel import Kernel

OpenKernel = Callable[..., Kernel]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def new_uid() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012x}"


@pytest.fixture
def open_kernel(tmp_path: Path, clock: VirtualClock, new_uid: Callable[[], str]) -> Iterator[OpenKernel]:
    """Opens the kernel of this test; closing it and opening it again is a restart."""
    opened: list[Kernel] = []

    def open_(cluster_ca: bytes = b"", service_range: str = "10.43.0.0/16") -> Kernel:
        kernel = Kernel.open(
            tmp_path / "cluster", clock=clock, new_uid=new_uid, cluster_ca=cluster_ca, service_range=service_range
        )
        opened.append(kernel)
        return kernel

    yield open_
    for kernel in opened:
        kernel.close()


@pytest.fixture
def kernel(open_kernel: OpenKernel) -> Kernel:
    return open_kernel()
