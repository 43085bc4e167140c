"""The server that static sites get: real requests to the program as it runs in an image."""

import http.client
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from towpath.blueprint.model import Service
from towpath.build.recipes import Recipe, RecipeKind
from towpath.build.static import server_command, server_entries


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Site:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.putrequest(method, path, skip_host=False)
            for name, value in named.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())
        finally:
            connection.close()


def serve(root: Path, env: Mapping[str, str]) -> Iterator[Site]:
    """The program as an image has it, on a port of the system's choice."""
    program = root.parent / "static_server.py"
    program.write_bytes(server_entries()[0].content)
    argv = [sys.executable, "-S", str(program), str(root), "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=dict(env), text=True) as process:
        assert process.stdout is not None
        yield Site(int(process.stdout.readline().split()[-1]))
        process.terminate()
        assert process.wait() == 0, "SIGTERM is an orderly end"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "docs" / "index.html").write_text("<h1>docs</h1>")
    (root / "a b.txt").write_text("0123456789")
    (root / "empty").write_text("")
    (tmp_path / "secret").write_text("secret")
    return root


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    yield from serve(root, {})


def test_files_and_index_pages_are_served_with_their_types(site: Site) -> None:
    home, text = site.get("/"), site.get("/a%20b.txt")

    assert (home.status, home.body, home.headers["content-type"]) == (200, b"<h1>home</h1>", "text/html; charset=utf-8")
    assert (text.body, text.headers["content-type"]) == (b"0123456789", "text/plain; charset=utf-8")
    assert site.get("/docs/").body == b"<h1>docs</h1>"
    assert (site.get("/empty").status, site.get("/empty").headers["content-length"]) == (200, "0")


def test_a_directory_without_its_slash_is_sent_there(site: Site) -> None:
    assert (site.get("/docs").status, site.get("/docs").headers["location"]) == (301, "/docs/")


def test_what_the_client_has_is_not_sent_again(site: Site) -> None:
    tag = site.get("/").headers["etag"]
    again = site.get("/", If_None_Match=tag)

    assert (again.status, again.body) == (304, b"")
    assert site.get("/", If_None_Match='"other"').status == 200
    assert site.get("/docs/").headers["etag"] != tag


def test_head_sends_no_content(site: Site) -> None:
    head = site.get("/", "HEAD")

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "13")


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-2", 206, b"89"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=10-", 416, b""),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_single_ranges_are_served(site: Site, wanted: str, status: int, body: bytes) -> None:
    answer = site.get("/a%20b.txt", Range=wanted)

    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "//secret", "/docs/../../secret", "/none", "/docs/x"])
def test_nothing_but_the_sites_files_is_served(site: Site, path: str) -> None:
    answer = site.get(path)

    assert (answer.status, answer.body) == (404, b"")


def test_other_methods_are_refused(site: Site) -> None:
    assert site.get("/", "POST").status == 501


def test_a_page_for_what_is_not_there(root: Path) -> None:
    (root / "404.html").write_text("not here")
    for site in serve(root, {}):
        assert (site.get("/none").status, site.get("/none").body) == (404, b"not here")


def test_a_single_page_application_answers_every_path(root: Path) -> None:
    for site in serve(root, {"STATIC_FALLBACK": "index.html"}):
        assert (site.get("/any/route").status, site.get("/any/route").body) == (200, b"<h1>home</h1>")


def test_it_is_started_on_the_services_port_and_files() -> None:
    command = server_command(Service("s", "services/s", port=9000), Recipe(RecipeKind.STATIC, into="/srv"))

    assert command == ("python3", f"/{server_entries()[0].path}", "/srv", "9000")
