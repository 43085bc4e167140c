"""From `towpath.yaml` and the repository's paths to a `Blueprint`, with every convention applied.

1. Read the document; collect what is wrong with its form.
2. Services: each directory under `services/` that holds a file, then what the file says about them.
3. Environments: each directory under `k3s/overlays/` that holds a kustomization, likewise, then their order.
4. Raise with everything that was wrong, or return.

Pure: the caller says which paths exist (those of a commit, or of a work tree).
"""

import re
from collections.abc import Iterable

from towpath.blueprint import fields
from towpath.blueprint.document import BlueprintError, Document, Entries
from towpath.blueprint.environments import read_environments
from towpath.blueprint.keeping import read_keeping
from towpath.blueprint.model import (
    BLUEPRINT_FILE,
    DEFAULT_BRANCH,
    DEFAULT_CHANNEL,
    DEFAULT_REGISTRY_HOST,
    UNRELEASED_TAG,
    Blueprint,
)
from towpath.blueprint.services import read_services
from towpath.blueprint.tree import Tree

KEYS = ("name", "registry", "branch", "channel", "source", "services", "environments", "keeper")

_REGISTRY = re.compile(r"[a-zA-Z0-9.\-]+(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+")
_SOURCE = re.compile(r"(?:https?://[^\s/?#@]+/[^\s?#@]+)?")
# git check-ref-format, without the corners that no branch name of a person reaches.
_NOT_A_BRANCH = re.compile(r"^(?:[-/.]|refs/)|(?:/|\.lock|\.)$|[\s~^:?*\[\\]|\.\.|@\{|//")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def load_blueprint(
    text: str | None,
    paths: Iterable[str],
    *,
    default_name: str,
    default_registry_host: str = DEFAULT_REGISTRY_HOST,
    file: str = BLUEPRINT_FILE,
) -> Blueprint:
    """Read a blueprint.

    Args:
        text: the content of `towpath.yaml`; None when there is no such file.
        paths: every file of the repository, relative to its root.
        default_name: the platform's name when the file gives none.
        default_registry_host: where images are when the file does not say.
        file: the name to show in errors.

    Raises:
        BlueprintError: something is wrong; it names everything that is.
    """
    document = Document(file)
    tree = Tree(paths)
    root = document.open(text or "")
    root.refuse_unknown(KEYS)
    name = fields.label(root, "name", default_name)
    blueprint = Blueprint(
        name=name,
        registry=fields.matching(root, "registry", f"{default_registry_host}/{name}", _REGISTRY, "host[:port]/path"),
        branch=_branch(root),
        channel=_channel(root),
        source=fields.matching(root, "source", "", _SOURCE, "https://host/path, without a user or a query"),
        services=read_services(root.mapping("services"), tree),
        environments=read_environments(root.mapping("environments"), tree),
        keeping=read_keeping(root.mapping("keeper")),
    )
    if document.problems:
        raise BlueprintError(document.problems)
    return blueprint


def _branch(root: Entries) -> str:
    value = root.text("branch", DEFAULT_BRANCH)
    if _NOT_A_BRANCH.search(value):
        root.report("branch", f"got {value}, expected a branch's name, such as main")
    return value


def _channel(root: Entries) -> str:
    value = fields.matching(root, "channel", DEFAULT_CHANNEL, _TAG, "a tag")
    if value.startswith("sha-") or value == UNRELEASED_TAG:
        root.report(
            "channel", f"got {value}, which Towpath uses itself", hint=f"choose another, such as {DEFAULT_CHANNEL}"
        )
    return value
