"""The raw client of the registry benches: HTTP/1.1 on one kept connection, the same for every server.

It pushes as skopeo and podman do (POST, one PATCH, an empty PUT, the manifest last) and counts what it pulls.
"""

import hashlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TIMEOUT_SECONDS = 120.0
BUFFER_BYTES = 256 * 1024


class UnexpectedAnswerError(Exception):
    """A server answered with a status that the bench does not reckon with."""


@dataclass(frozen=True)
class Payload:
    """An image as bytes, hashed before any clock runs."""

    blobs: tuple[tuple[str, bytes], ...]
    manifest: bytes

    @classmethod
    def of(cls, layers: tuple[bytes, ...], *, name: str) -> Self:
        """An image of these layers."""
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}, "name": name}
        ).encode()
        blobs = tuple((_digest(content), content) for content in (*layers, config))
        entries = [{"mediaType": LAYER, "digest": digest, "size": len(content)} for digest, content in blobs[:-1]]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": blobs[-1][0], "size": len(config)},
            "layers": entries,
        }
        return cls(blobs, json.dumps(document).encode())


class RawClient:
    """One connection to one registry."""

    def __init__(self, address: str, authorizations: Mapping[str, str] | None = None) -> None:
        """`authorizations` has the header for each repository; none for a registry that asks for none."""
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self._authorizations = authorizations or {}
        self._headers: dict[str, str] = {}
        self._buffer = bytearray(BUFFER_BYTES)

    def push(self, repository: str, payload: Payload) -> None:
        """Push an image under the tag `latest`."""
        self._enter(repository)
        for digest, content in payload.blobs:
            self._push_blob(repository, digest, content)
        path = f"/v2/{repository}/manifests/latest"
        self._ask("PUT", path, payload.manifest, {"Content-Type": MANIFEST}, expect=201)

    def pull(self, repository: str, payload: Payload) -> None:
        """Pull an image and see that it is whole."""
        self._enter(repository)
        self.read_manifest(repository)
        for digest, content in payload.blobs:
            received = self._count(f"/v2/{repository}/blobs/{digest}")
            if received != len(content):
                raise UnexpectedAnswerError(f"{digest} has {received} bytes, expected {len(content)}")

    def read_manifest(self, repository: str) -> None:
        """Fetch a manifest by its tag."""
        self._enter(repository)
        self._ask("GET", f"/v2/{repository}/manifests/latest", headers={"Accept": MANIFEST}, expect=200)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _enter(self, repository: str) -> None:
        found = self._authorizations.get(repository)
        self._headers = {"Authorization": found} if found else {}

    def _push_blob(self, repository: str, digest: str, content: bytes) -> None:
        location = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"", expect=202)[1]
        octets = {"Content-Type": "application/octet-stream"}
        location = self._ask("PATCH", location, content, octets, expect=202)[1]
        joint = "&" if "?" in location else "?"
        self._ask("PUT", f"{location}{joint}digest={digest}", b"", expect=201)

    def _count(self, target: str) -> int:
        """How many bytes a GET answers with. They are received into one small buffer, as a client does that unpacks.

        Memory for a whole layer would cost as much as the transfer, and be measured as the server's.
        """
        self._connection.request("GET", target, headers=self._headers)
        response = self._connection.getresponse()
        if response.status != 200:
            raise UnexpectedAnswerError(f"GET {target}: {response.status}, expected 200: {response.read(200)!r}")
        received = 0
        while arrived := response.readinto(self._buffer):
            received += arrived
        return received

    def _ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        expect: int,
    ) -> tuple[bytes, str]:
        """The body and the place to go on at, without its host."""
        self._connection.request(method, target, body, {**self._headers, **(headers or {})})
        response = self._connection.getresponse()
        content = response.read()
        if response.status != expect:
            raise UnexpectedAnswerError(f"{method} {target}: {response.status}, expected {expect}: {content[:200]!r}")
        parts = urlsplit(response.headers.get("Location", ""))
        return content, f"{parts.path}?{parts.query}" if parts.query else parts.path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
