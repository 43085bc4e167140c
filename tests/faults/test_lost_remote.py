"""An outside repository that answers 500 or hangs: it is said, nothing waits for it, and it is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fakes.platform import LivePlatform


class Remote:
    """A forge that fails as it is told; `asked` counts the requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False
        self.ended = threading.Event()


@contextmanager
def serve(remote: Remote) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            remote.asked += 1
            if remote.hangs:
                remote.ended.wait()
                return
            self.send_error(500)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base's
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/lab.git"
    finally:
        remote.ended.set()
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize("hangs", [False, True], ids=["answers 500", "hangs"])
def test_a_platform_whose_remote_fails_starts_serves_says_so_and_stops(tmp_path: Path, hangs: bool) -> None:
    remote = Remote()
    remote.hangs = hangs
    with serve(remote) as url, LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start("--remote", url, "--poll", "1")
        platform.await_("the remote to be asked", lambda: remote.asked)
        assert platform.document("status")["environments"] == []
        if not hangs:
            found = platform.await_(
                "the failure to be explained",
                lambda: next((one for one in platform.api("/explain")["findings"] if "500" in one["reason"]), None),
                show=lambda: platform.api("/explain"),
            )
            assert found["subject"] == url
            assert found["next"]
            asked = remote.asked
            platform.await_("another try", lambda: remote.asked > asked)
        assert platform.stop() == 0
        platform.await_no_process()
