"""The services of a blueprint: directories under `services/`, and what the file says about them. Pure."""

import re

from towpath.blueprint import fields
from towpath.blueprint.dockerfiles import DOCKERFILE_KEYS, read_dockerfile
from towpath.blueprint.document import Entries, is_false
from towpath.blueprint.model import (
    DEFAULT_BASE,
    DEFAULT_INTO,
    DEFAULT_PORT,
    DEFAULT_USER,
    SCRATCH_BASE,
    SERVICES_DIRECTORY,
    Service,
)
from towpath.blueprint.tree import Tree
from towpath.errors import UserError
from towpath.oci.reference import Reference

SERVICE_KEYS = (
    "path",
    "base",
    "entrypoint",
    "env",
    "port",
    "user",
    "requirements",
    "static",
    "into",
    "binary",
    *DOCKERFILE_KEYS,
)
# Each says what a service is made of; one service is made of one thing.
_KINDS = ("static", "binary", "dockerfile")

_USER = re.compile(r"\d{1,10}(:\d{1,10})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")


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
    _check_kind(entry)
    # Whether it exists is for the build to say: the name may have a platform in it.
    binary = _inside(entry, "binary", path, tree, wanted="")
    docker = read_dockerfile(entry, lambda key: _inside(entry, key, path, tree, wanted="a file"))
    return Service(
        name=name,
        path=path,
        base=_base(entry, SCRATCH_BASE if binary else DEFAULT_BASE),
        entrypoint=entry.texts("entrypoint"),
        env=env,
        port=entry.integer("port", DEFAULT_PORT, lowest=1, highest=65535),
        user=_user(entry),
        requirements=_requirements(entry, path, tree),
        static=_inside(entry, "static", path, tree, wanted="a directory"),
        into=_into(entry),
        binary=binary,
        dockerfile=docker.dockerfile,
        target=docker.target,
        build_args=docker.build_args,
        secrets=docker.secrets,
        engine=docker.engine,
    )


def _check_kind(entry: Entries) -> None:
    given = [key for key in _KINDS if key in entry.entries]
    for key in given[1:]:
        entry.report(key, f"cannot be given beside {given[0]}", hint="a service is made of one thing")


def _requirements(entry: Entries, path: str, tree: Tree) -> str | None:
    node = entry.entries.get("requirements")
    if node is not None and is_false(node):
        return None
    return _inside(entry, "requirements", path, tree, wanted="a file")


def _inside(entry: Entries, key: str, path: str, tree: Tree, *, wanted: str) -> str:
    """A file or a directory below the service's own; empty without the key."""
    if key not in entry.entries:
        return ""
    value = fields.tidy(entry.text(key, "."))
    # Either may be `.`, which joins to nothing.
    full = "/".join(part for part in (path, value) if part != ".") or "."
    if value != "." and (problem := _why_not_inside(value)):
        entry.report(key, problem)
    elif (wanted == "a directory" and full not in tree.directories) or (wanted == "a file" and full not in tree.files):
        entry.report(key, f"got {value}, expected {wanted} below {path}")
    return value


def _why_not_inside(value: str) -> str:
    parts = value.split("/")
    outside = value.startswith("/") or any(part in {"", ".", ".."} for part in parts)
    return f"got {value}, expected a path below the service's directory without . or .." if outside else ""


def _into(entry: Entries) -> str:
    value = entry.text("into", DEFAULT_INTO)
    if "into" in entry.entries and "static" not in entry.entries:
        entry.report("into", "says where static files stand", hint="set static as well")
    if not _IMAGE_PATH.fullmatch(value) or ".." in value.split("/"):
        entry.report("into", f"got {value}, expected an absolute path, such as /usr/share/nginx/html")
    return value


def _user(entry: Entries) -> str:
    value = entry.scalar("user", {"str", "int"}, "a numeric user, such as 65532:65532")
    if value is None:
        return DEFAULT_USER
    if not _USER.fullmatch(value):
        entry.report("user", f"got {value}, expected a numeric user, such as 65532:65532")
    return value


def _base(entry: Entries, default: str) -> str:
    value = entry.text("base", default)
    if value in {DEFAULT_BASE, SCRATCH_BASE}:
        return value
    try:
        Reference.parse(value)
    except UserError as error:
        entry.report("base", f"got {value}, expected {DEFAULT_BASE} or an image: {error.message}")
    return value
