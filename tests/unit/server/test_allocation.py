"""The allocator's settings, judged in a process of their own."""

import platform
import subprocess
import sys

import pytest

# A thread frees one large block, which moves glibc's threshold, then many more that have small ones between them.
PROGRAM = """
import sys, threading
from pathlib import Path
from towpath.server.allocation import keep_memory_small

def anonymous_mebibytes():
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("RssAnon"))
    return int(line.split()[1]) / 1024

def work():
    b"x" * (30 * 2**20)
    blocks = []
    for number in range(40):
        blocks.append(b"x" * 2**20)
        small.append(b"y" * 1000)
    del blocks

small = []
set_up = keep_memory_small()
before = anonymous_mebibytes()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(set_up, anonymous_mebibytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_what_a_thread_has_freed_goes_back_to_the_system() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    set_up, grown = ended.stdout.split()
    assert set_up == "True"
    assert float(grown) < 16
