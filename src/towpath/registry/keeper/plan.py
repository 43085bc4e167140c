"""Which manifests and blobs stay, with the reasons, and which go: a function of facts, without I/O.

1. Roots: what is needed outside (`evidence`), channels and newest sets, tags of repositories that are not the
   platform's, what is younger than the grace period, and what somebody has asked for within it.
2. What roots lead to: the entries of an index, wherever they are, and the referrers of what stays.
3. Blobs that no manifest of their repository needs any more go, unless they are young or leased.
4. Soon after a start nothing goes at all: what was asked for before it is not remembered.

A manifest keeps every reason that was found, so that a person can see what would have to change for it to go.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from towpath.amounts import format_age
from towpath.oci.tags import is_immutable
from towpath.registry.keeper.evidence import Reason, Root, Roots, Why
from towpath.registry.keeper.facts import Facts, LinkFact, ManifestFact, subject_of_tag
from towpath.registry.keeper.policy import Policy

Key = tuple[str, str]

# More reasons of one kind than a person reads; the rest is counted.
SHOWN_REASONS = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one manifest. It goes when there is no reason to keep it.

    Attributes:
        fact: the manifest.
        reasons: why it stays.
        image_bytes: the document and all blobs it needs, shared or not.
        removal: why it goes; empty when it stays.
    """

    fact: ManifestFact
    reasons: tuple[Reason, ...]
    image_bytes: int
    removal: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection does.

    Attributes:
        decisions: one for every manifest, by repository and age.
        links: blobs that go from a repository.
        blobs: digests that no repository has then.
        freed_bytes: what that frees.
        held_blobs: unneeded blobs that stay for now, with the reason of each.
        missing: needed outside, and not here.
        mark: of the evidence.
        unseen: what the evidence leaves out; empty when it is whole.
    """

    decisions: tuple[Decision, ...]
    links: tuple[LinkFact, ...]
    blobs: tuple[str, ...]
    freed_bytes: int
    held_blobs: tuple[tuple[LinkFact, Reason], ...]
    missing: tuple[Root, ...]
    mark: str
    unseen: str = ""

    @property
    def removed(self) -> list[ManifestFact]:
        """The manifests that go."""
        return [decision.fact for decision in self.decisions if not decision.is_kept]


def plan_collection(facts: Facts, roots: Roots, policy: Policy, *, now: float) -> Plan:
    """Decide over everything."""
    reasons, missing = _reasons(facts, roots, policy, now)
    decisions = [_decide(fact, reasons.get(fact.key, []), facts, roots, policy, now) for fact in facts.manifests]
    needed = {
        (fact.repository, target)
        for fact in facts.manifests
        if fact.key in reasons and not fact.is_index
        for target in fact.targets
    }
    going, held = [], []
    for link in facts.links:
        if link.key in needed:
            continue
        reason = _lease(link.key, link.linked_at, facts, policy, now)
        if reason is None:
            going.append(link)
        else:
            held.append((link, reason))
    staying = {link.digest for link in facts.links} - {link.digest for link in going}
    staying |= {link.digest for link in facts.links if link.key in needed} | {link.digest for link, _ in held}
    blobs = tuple(sorted({link.digest for link in going} - staying))
    removed = sum(one.fact.size for one in decisions if not one.is_kept)
    return Plan(
        decisions=tuple(sorted(decisions, key=lambda one: (one.fact.repository, -one.fact.pushed_at))),
        links=tuple(going),
        blobs=blobs,
        freed_bytes=removed + sum(facts.sizes[digest] for digest in blobs),
        held_blobs=tuple(held),
        missing=missing,
        mark=roots.mark,
        unseen=roots.unseen,
    )


def removal_rounds(removed: Iterable[ManifestFact]) -> Iterator[list[ManifestFact]]:
    """What goes, in rounds: an index before its entries, a subject before its referrers.

    So at no moment anything that is still there lacks what it leads to; and whatever is spared in one round, because
    somebody came for it, spares the rest with it.
    """
    left = {fact.key: fact for fact in removed}
    while left:
        targets = {target for fact in left.values() if fact.is_index for target in fact.targets}
        ready = [
            fact
            for fact in left.values()
            if fact.digest not in targets and not any((fact.repository, one) in left for one in fact.subjects)
        ]
        # Digests cannot form a circle; if facts do all the same, the executor's own check decides.
        for fact in ready or list(left.values()):
            del left[fact.key]
        yield ready or []


def _reasons(
    facts: Facts, roots: Roots, policy: Policy, now: float
) -> tuple[dict[Key, list[Reason]], tuple[Root, ...]]:
    index = _Lookup(facts)
    found: dict[Key, list[Reason]] = defaultdict(list)
    missing = []
    for root in roots.needed:
        facts_of_root = index.find(root)
        for fact in facts_of_root:
            found[fact.key].append(root.reason)
        # Without a repository it may be of another registry.
        if not facts_of_root and root.repository:
            missing.append(root)
    for fact in facts.manifests:
        found_here = [*_reasons_of_tags(fact, roots), *_reasons_of_age(fact, facts, policy, now)]
        if found_here:
            found[fact.key] += found_here
    for key, reason in [*_newest_sets(facts, roots, policy), *_newest_outside(facts, roots, policy)]:
        found[key].append(reason)
    _spread(found, index)
    settling = _settling(facts, policy, now)
    for fact in facts.manifests:
        if settling and fact.key not in found:
            found[fact.key].append(settling)
    return dict(found), tuple(missing)


class _Lookup:
    """The manifests by what points at them."""

    def __init__(self, facts: Facts) -> None:
        self.by_key = {fact.key: fact for fact in facts.manifests}
        self.by_digest: dict[str, list[ManifestFact]] = defaultdict(list)
        self.by_tag: dict[str, list[ManifestFact]] = defaultdict(list)
        self.by_blob: dict[str, list[ManifestFact]] = defaultdict(list)
        self.referrers: dict[Key, list[ManifestFact]] = defaultdict(list)
        for fact in facts.manifests:
            self.by_digest[fact.digest].append(fact)
            for target in () if fact.is_index else fact.targets:
                self.by_blob[target].append(fact)
            for tag in fact.tags:
                self.by_tag[tag.name].append(fact)
            for subject in fact.subjects:
                self.referrers[fact.repository, subject].append(fact)

    def find(self, root: Root) -> list[ManifestFact]:
        """What a root names."""
        if ":" not in root.reference:
            tagged = self.by_tag.get(root.reference, ())
            return [fact for fact in tagged if root.repository in {"", fact.repository}]
        # Some runtimes tell the digest of the configuration instead of the manifest's.
        found = self.by_digest.get(root.reference) or self.by_blob.get(root.reference) or []
        return [fact for fact in found if root.repository in {"", fact.repository}]


def _spread(found: dict[Key, list[Reason]], index: _Lookup) -> None:
    """Entries of what stays stay, and so do referrers; each is visited once."""
    waiting = list(found)
    seen = set(waiting)
    while waiting:
        fact = index.by_key[waiting.pop()]
        name = _name(fact)
        led = [
            (child, Reason(Why.INDEX, f"an entry of {name}"))
            for target in (fact.targets if fact.is_index else ())
            for child in index.by_digest.get(target, ())
        ]
        led += [(one, Reason(Why.SUBJECT, f"says something about {name}")) for one in index.referrers.get(fact.key, ())]
        for child, reason in led:
            found[child.key].append(reason)
            if child.key not in seen:
                seen.add(child.key)
                waiting.append(child.key)


def _reasons_of_tags(fact: ManifestFact, roots: Roots) -> Iterator[Reason]:
    if fact.repository not in roots.managed:
        return
    for tag in fact.tags:
        if not is_immutable(tag.name) and not subject_of_tag(tag.name):
            yield Reason(Why.CHANNEL, f"tag {tag.name}")


def _reasons_of_age(fact: ManifestFact, facts: Facts, policy: Policy, now: float) -> Iterator[Reason]:
    newest = max([fact.pushed_at, *(tag.set_at for tag in fact.tags)])
    if now - newest < policy.grace_seconds:
        what = "pushed" if newest == fact.pushed_at else "tagged"
        yield Reason(Why.GRACE, f"{what} {format_age(now - newest)} ago, within {format_age(policy.grace_seconds)}")
        return
    touched = facts.touches.get(fact.key)
    if touched is not None and now - touched < policy.grace_seconds:
        yield Reason(Why.LEASE, f"asked for {format_age(now - touched)} ago")


def _newest_sets(facts: Facts, roots: Roots, policy: Policy) -> Iterator[tuple[Key, Reason]]:
    """The newest sets; without sets, the newest artifacts of each repository (built by an outside CI)."""
    with_sets = {fact.repository for fact in facts.manifests if fact.repository in roots.sets and fact.tags}
    prefixes = {name.rpartition("/")[0] for name in with_sets}
    by_repository: dict[str, list[ManifestFact]] = defaultdict(list)
    for fact in facts.manifests:
        tagged = any(is_immutable(tag.name) for tag in fact.tags)
        named = fact.repository in with_sets or fact.repository.rpartition("/")[0] not in prefixes
        if tagged and named and fact.repository in roots.managed:
            by_repository[fact.repository].append(fact)
    for repository, members in by_repository.items():
        word = "set" if repository in with_sets else "artifact"
        members.sort(key=lambda fact: fact.pushed_at, reverse=True)
        for number, fact in enumerate(members[: policy.newest_sets], start=1):
            yield fact.key, Reason(Why.NEWEST, f"{word} {number} of the newest {policy.newest_sets}")


def _newest_outside(facts: Facts, roots: Roots, policy: Policy) -> Iterator[tuple[Key, Reason]]:
    by_repository: dict[str, list[tuple[float, str, ManifestFact]]] = defaultdict(list)
    for fact in facts.manifests:
        if fact.repository not in roots.managed:
            by_repository[fact.repository] += [(tag.set_at, tag.name, fact) for tag in fact.tags]
    for tags in by_repository.values():
        tags.sort(key=lambda one: (one[0], one[1]), reverse=True)
        limit = policy.outside_tags
        for number, (_, name, fact) in enumerate(tags if limit is None else tags[:limit], start=1):
            evidence = (
                f"tag {name}, of no blueprint" if limit is None else f"tag {name}, {number} of the newest {limit}"
            )
            yield fact.key, Reason(Why.TAGGED, evidence)


def _lease(key: Key, linked_at: float, facts: Facts, policy: Policy, now: float) -> Reason | None:
    """Why an unneeded blob stays for now."""
    if now - linked_at < policy.grace_seconds:
        return Reason(Why.GRACE, f"uploaded or mounted {format_age(now - linked_at)} ago")
    touched = facts.touches.get(key)
    if touched is not None and now - touched < policy.grace_seconds:
        return Reason(Why.LEASE, f"asked for {format_age(now - touched)} ago")
    return _settling(facts, policy, now)


def _settling(facts: Facts, policy: Policy, now: float) -> Reason | None:
    """Why what is not needed stays soon after a start: who asked for what before is forgotten."""
    running = now - facts.started_at
    if running < policy.settling_seconds:
        return Reason(Why.LEASE, f"the registry started {format_age(running)} ago, and pushes may go on")
    return None


def _decide(
    fact: ManifestFact, reasons: list[Reason], facts: Facts, roots: Roots, policy: Policy, now: float
) -> Decision:
    blobs = () if fact.is_index else fact.targets
    size = fact.size + sum(facts.sizes.get(digest, 0) for digest in set(blobs))
    if reasons:
        return Decision(fact, _condense(reasons), size)
    return Decision(fact, (), size, _removal(fact, roots, policy, now))


def _removal(fact: ManifestFact, roots: Roots, policy: Policy, now: float) -> str:
    age = format_age(now - fact.pushed_at)
    if fact.subjects:
        return f"says something about what is not here; pushed {age} ago"
    if not fact.tags:
        return f"no tag, no index and nothing outside names it; pushed {age} ago"
    if fact.repository in roots.managed:
        return f"pinned, running and needed nowhere, and not among the newest {policy.newest_sets}; pushed {age} ago"
    return f"not among the newest {policy.outside_tags} tags; pushed {age} ago"


def _condense(reasons: list[Reason]) -> tuple[Reason, ...]:
    by_kind: dict[Why, list[Reason]] = defaultdict(list)
    for reason in dict.fromkeys(reasons):
        by_kind[reason.why].append(reason)
    shown: list[Reason] = []
    for kind in Why:
        of_kind = by_kind.get(kind, [])
        shown += of_kind[:SHOWN_REASONS]
        if len(of_kind) > SHOWN_REASONS:
            more = f"{shown[-1].evidence}, and {len(of_kind) - SHOWN_REASONS} more"
            shown[-1] = replace(shown[-1], evidence=more)
    return tuple(shown)


def _name(fact: ManifestFact) -> str:
    return f"{fact.repository}:{fact.tags[0].name}" if fact.tags else f"{fact.repository}@{fact.digest[:19]}"
