"""Reads the package databases of Debian (dpkg) and Alpine (apk), and which distribution an image is. Pure.

A package URL names the distribution (`pkg:deb/debian/…?distro=debian-12`), which the database does not know: components
come out without one, and `with_distribution` adds it once the whole image was read.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from towpath.attest.components import Component, ComponentKind

DATABASE = "database"
_ARCHITECTURE = "architecture"
_DEB, _APK = "deb", "apk"


def parse_os_release(text: str) -> str:
    """`debian-12` or `alpine-3.20.1`; empty when the file does not say."""
    pairs = (line.partition("=") for line in text.splitlines())
    values = {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    name = values.get("ID", "")
    version = values.get("VERSION_ID", "")
    return f"{name}-{version}" if name and version else name


def parse_dpkg_status(text: str) -> list[Component]:
    """The installed packages of a dpkg database, or of one stanza of it."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(_fields(stanza))
        status = fields.get("Status", "install ok installed")
        if fields.get("Package") and fields.get("Version") and status.endswith(" installed"):
            architecture = fields.get("Architecture", "")
            found.append(_component(_DEB, fields["Package"], fields["Version"], architecture, ""))
    return found


def parse_apk_database(text: str) -> list[Component]:
    """The packages of an apk database."""
    found = []
    for stanza in text.split("\n\n"):
        fields = {line[0]: line[2:].strip() for line in stanza.splitlines() if line[1:2] == ":"}
        if fields.get("P") and fields.get("V"):
            found.append(_component(_APK, fields["P"], fields["V"], fields.get("A", ""), fields.get("L", "")))
    return found


def with_distribution(component: Component, distribution: str) -> Component:
    """The component with its package URL, if it came from a package database."""
    database = component.notes.get(DATABASE)
    if database is None:
        return component
    namespace = distribution.partition("-")[0] or {_DEB: "debian", _APK: "alpine"}[database]
    qualifiers = {"arch": component.notes.get(_ARCHITECTURE, ""), "distro": distribution}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in qualifiers.items() if value)
    name, version = quote(component.name.lower(), safe=""), quote(component.version, safe="")
    purl = f"pkg:{database}/{quote(namespace)}/{name}@{version}{'?' if query else ''}{query}"
    return replace(component, purl=purl, notes={})


def _fields(stanza: str) -> Iterator[tuple[str, str]]:
    for line in stanza.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            yield name, value.strip()


def _component(database: str, name: str, version: str, architecture: str, license_: str) -> Component:
    notes = {DATABASE: database, _ARCHITECTURE: architecture}
    return Component(ComponentKind.LIBRARY, name, version, license=license_, notes=notes)
