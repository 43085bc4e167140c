"""The environments of a blueprint: kustomizations under `k3s/overlays/`, in the order a version passes them. Pure."""

from collections.abc import Iterable, Mapping

from towpath.blueprint import fields
from towpath.blueprint.document import Entries, did_you_mean
from towpath.blueprint.model import (
    DEFAULT_SOAK_SECONDS,
    HEAL,
    OPTIONAL,
    OVERLAYS_DIRECTORY,
    REPORT,
    REQUIRED,
    Environment,
)
from towpath.blueprint.tree import Tree

ENVIRONMENT_KEYS = ("overlay", "promotes_from", "soak", "attestation", "drift")

# Words people use for their environments, from the first to the last a version passes through.
_STAGES: tuple[set[str], ...] = (
    {"dev", "develop", "development", "sandbox", "local"},
    {"test", "testing", "ci", "integration"},
    {"qa", "uat", "acceptance"},
    {"stage", "staging", "preprod", "canary"},
    set(),  # a name that says nothing stands between staging and production
    {"prod", "production", "live"},
)
_UNKNOWN_STAGE = 4


def read_environments(entries: Entries, tree: Tree) -> dict[str, Environment]:
    """The environments by name, in the order a version passes through them; problems are reported."""
    overlays = [
        name for name in tree.children(OVERLAYS_DIRECTORY) if tree.has_kustomization(f"{OVERLAYS_DIRECTORY}/{name}")
    ]
    found = fields.conventional(entries, overlays, OVERLAYS_DIRECTORY, "overlay")
    names = _in_order([*entries.entries, *found], fields.switched_off(entries))
    environments = {}
    before: str | None = None
    for name in names:
        fields.check_name(entries, name, OVERLAYS_DIRECTORY, "overlay")
        environments[name] = _read_environment(entries.mapping(name), name, before, tree)
        before = name
    _check_promotions(entries, environments)
    fields.check_distinct(entries, {name: environment.overlay for name, environment in environments.items()}, "overlay")
    return environments


def _read_environment(entry: Entries, name: str, before: str | None, tree: Tree) -> Environment:
    entry.refuse_unknown(ENVIRONMENT_KEYS)
    overlay = fields.directory(entry, "overlay", f"{OVERLAYS_DIRECTORY}/{name}", tree)
    if overlay in tree.directories and not tree.has_kustomization(overlay):
        entry.report("overlay", f"{overlay} has no kustomization.yaml")
    # Written out as null, it says that nothing leads here: the environment is promoted into straight from the branch.
    default = None if "promotes_from" in entry.entries else before
    return Environment(
        name=name,
        overlay=overlay,
        promotes_from=entry.text("promotes_from", "") or default,
        soak_seconds=fields.duration(entry, "soak", DEFAULT_SOAK_SECONDS),
        attestation=_choice(entry, "attestation", OPTIONAL, REQUIRED),
        drift=_choice(entry, "drift", HEAL, REPORT),
    )


def _choice(entry: Entries, key: str, default: str, other: str) -> str:
    value = entry.text(key, default)
    if value not in {default, other}:
        entry.report(key, f"got {value}, expected {other} or {default}", hint=did_you_mean(value, (other, default)))
    return value


def _in_order(names: Iterable[str], switched_off: set[str]) -> list[str]:
    """By stage; within one stage as the file has them, then by name."""
    distinct = [name for name in dict.fromkeys(names) if name not in switched_off]
    return sorted(distinct, key=_stage)


def _stage(name: str) -> int:
    words = {name, *name.split("-")}
    for stage, known in enumerate(_STAGES):
        if words & known:
            return stage
    return _UNKNOWN_STAGE


def _check_promotions(entries: Entries, environments: Mapping[str, Environment]) -> None:
    for name, environment in environments.items():
        source = environment.promotes_from
        entry = entries.mapping(name)
        if source is None:
            continue
        if source not in environments:
            entry.report("promotes_from", f"no environment {source}", hint=did_you_mean(source, environments))
            continue
        seen = {name}
        while source is not None and source in environments and source not in seen:
            seen.add(source)
            source = environments[source].promotes_from
        if source == name:
            entry.report("promotes_from", f"leads back to {name}", hint="one environment must be the first")
