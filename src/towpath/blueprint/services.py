"""The services of a blueprint: directories under `services/`, and what the file says about them. Pure."""

import re

from towpath.blueprint import fields
from towpath.blueprint.document import Entries
from towpath.blueprint.model import (
    DEFAULT_BASE,
    DEFAULT_PORT,
    DEFAULT_USER,
    SERVICES_DIRECTORY,
    Service,
)
from towpath.blueprint.tree import Tree
from towpath.errors import UserError
from towpath.oci.reference import Reference

SERVICE_KEYS = ("path", "base", "entrypoint", "env", "port", "user")

_USER = re.compile(r"\d{1,10}(:\d{1,10})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_services(entries: Entries, tree: Tree) -> dict[str, Service]:
    """The services by name, in alphabetical order; problems are reported to the entries' document."""
    found = fields.conventional(entries, tree.children(SERVICES_DIRECTORY), SERVICES_DIRECTORY, "path")
    services = {}
    for name in sorted({*found, *entries.entries} - fields.switched_off(entries)):
        fields.check_name(entries, name, SERVICES_DIRECTORY, "path")
        services[name] = _read_service(entries.mapping(name), name, tree)
    fields.check_distinct(entries, {name: service.path for name, service in services.items()}, "path")
    return services


def _read_service(entry: Entries, name: str, tree: Tree) -> Service:
    entry.refuse_unknown(SERVICE_KEYS)
    path = fields.directory(entry, "path", f"{SERVICES_DIRECTORY}/{name}", tree)
    env = entry.pairs("env")
    for variable in env:
        if not _VARIABLE.fullmatch(variable):
            entry.mapping("env").report(variable, "is not a variable's name: letters, digits and underscores")
    return Service(
        name=name,
        path=path,
        base=_base(entry),
        entrypoint=entry.texts("entrypoint"),
        env=env,
        port=entry.integer("port", DEFAULT_PORT, lowest=1, highest=65535),
        user=_user(entry),
    )


def _user(entry: Entries) -> str:
    value = entry.scalar("user", {"str", "int"}, "a numeric user, such as 65532:65532")
    if value is None:
        return DEFAULT_USER
    if not _USER.fullmatch(value):
        entry.report("user", f"got {value}, expected a numeric user, such as 65532:65532")
    return value


def _base(entry: Entries) -> str:
    value = entry.text("base", DEFAULT_BASE)
    if value == DEFAULT_BASE:
        return value
    try:
        Reference.parse(value)
    except UserError as error:
        entry.report("base", f"got {value}, expected {DEFAULT_BASE} or an image: {error.message}")
    return value
