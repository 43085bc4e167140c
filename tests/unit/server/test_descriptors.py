"""The limit of descriptors, raised in processes of their own."""

import subprocess
import sys

import pytest

from towpath.server.descriptors import DESCRIPTORS

PROGRAM = """
import resource, sys
from towpath.server.descriptors import allow_many_descriptors

soft, hard = int(sys.argv[1]), min(int(sys.argv[2]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))
print(allow_many_descriptors(), *resource.getrlimit(resource.RLIMIT_NOFILE), hard)
"""


def raised(soft: int, hard: int) -> list[int]:
    argv = [sys.executable, "-c", PROGRAM, str(soft), str(hard)]
    return [int(text) for text in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()]


@pytest.mark.parametrize("hard", [300, 1 << 20])
def test_as_many_descriptors_are_asked_for_as_are_allowed(hard: int) -> None:
    said, soft, kept, allowed = raised(200, hard)
    assert (said, soft, kept) == (min(allowed, DESCRIPTORS), min(allowed, DESCRIPTORS), allowed)


def test_a_limit_is_never_lowered() -> None:
    said, soft, kept, allowed = raised(DESCRIPTORS + 1, 1 << 20)
    assert (said, soft, kept) == (min(DESCRIPTORS + 1, allowed), min(DESCRIPTORS + 1, allowed), allowed)
