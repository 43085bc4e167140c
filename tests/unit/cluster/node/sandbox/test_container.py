import json
import os
from pathlib import Path

import pytest

from towpath.cluster.node.sandbox.container import StatusReader
from towpath.cluster.node.sandbox.processes import find_children, find_name, resident_bytes

DOCUMENTS = json.dumps({"child-pid": 42, "pid-namespace": 1}) + "\n" + json.dumps({"exit-code": 7}) + "\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_status_documents_are_read_in_pieces_of_any_size(size: int) -> None:
    reader = StatusReader()
    content = DOCUMENTS.encode()
    for start in range(0, len(content), size):
        reader.feed(content[start : start + size])
    assert (reader.init_pid, reader.exit_code) == (42, 7)


def test_a_torn_document_waits_for_its_rest() -> None:
    reader = StatusReader()
    reader.feed(DOCUMENTS.encode()[:-2])
    assert (reader.init_pid, reader.exit_code) == (42, None)


def test_children_name_and_memory_of_a_process_are_found() -> None:
    child = os.fork()
    if child == 0:
        os.pause() if hasattr(os, "pause") else os.read(os.pipe()[0], 1)
        os._exit(0)
    try:
        assert child in find_children(os.getpid())
        assert find_name(child) == Path("/proc/self/comm").read_text().strip()
        assert resident_bytes(child) > 0
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert find_name(child) == ""
    assert find_children(child) == []
    assert resident_bytes(child) == 0
