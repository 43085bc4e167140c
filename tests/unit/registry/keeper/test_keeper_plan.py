"""What a collection keeps, with its reasons, and what goes."""

from dataclasses import replace

import pytest

from towpath.registry.keeper.evidence import Reason, Root, Roots, Why
from towpath.registry.keeper.facts import Facts, LinkFact, ManifestFact, TagFact
from towpath.registry.keeper.plan import Plan, plan_collection, removal_rounds
from towpath.registry.keeper.policy import Policy

DAY = 86_400.0
NOW = 100 * DAY
MANAGED = frozenset({"home/sensor", "home/clock", "home/sets"})
ROOTS = Roots(managed=MANAGED, sets=frozenset({"home/sets"}), mark="m")
POLICY = Policy(newest_sets=2)


def digest(name: str) -> str:
    """A digest that can be read."""
    return f"sha256:{name.encode().hex():0<64}"


def image(
    name: str, *tags: str, repository: str = "home/sensor", days: float = 50, blobs: tuple[str, ...] = ("layer",)
) -> ManifestFact:
    """An image, pushed and tagged so many days ago."""
    at = NOW - days * DAY
    facts = tuple(TagFact(tag, at) for tag in tags)
    return ManifestFact(repository, digest(name), 500, at, targets=tuple(digest(blob) for blob in blobs), tags=facts)


def index(name: str, *tags: str, of: tuple[str, ...], repository: str = "home/sets", days: float = 50) -> ManifestFact:
    """An index of such images."""
    return replace(image(name, *tags, repository=repository, days=days, blobs=of), is_index=True)


def facts_of(*manifests: ManifestFact, links: tuple[LinkFact, ...] = (), **fields: object) -> Facts:
    """A registry that holds these and their blobs, of 1000 bytes each."""
    found = {
        LinkFact(fact.repository, target, fact.pushed_at)
        for fact in manifests
        if not fact.is_index
        for target in fact.targets
    }
    every = tuple(sorted({*found, *links}, key=lambda link: link.key))
    return Facts(manifests, every, {link.digest: 1000 for link in every}, **fields)  # type: ignore[arg-type]


def plan(facts: Facts, roots: Roots = ROOTS, policy: Policy = POLICY) -> Plan:
    """Plan at the test's moment."""
    return plan_collection(facts, roots, policy, now=NOW)


def reasons(made: Plan, name: str) -> list[Why]:
    """Why a manifest stays, once each."""
    (decision,) = [one for one in made.decisions if one.fact.digest == digest(name)]
    return list(dict.fromkeys(reason.why for reason in decision.reasons))


def needed(reference: str, why: Why = Why.PINNED, repository: str = "home/sensor") -> Roots:
    """Evidence from outside for one thing."""
    return replace(ROOTS, needed=(Root(reference, Reason(why, "prod at 1234567"), repository),))


def newer_sets() -> tuple[ManifestFact, ...]:
    """So many sets that older ones are not among the newest."""
    return tuple(index(f"set{n}", f"sha-000000{n}", of=(), days=n) for n in (1, 2))


def test_an_old_artifact_that_nothing_needs_goes_with_its_blobs() -> None:
    made = plan(facts_of(image("old", "sha-1111111"), *newer_sets()))
    decision = next(one for one in made.decisions if not one.is_kept)

    assert decision.fact.digest == digest("old")
    assert "pinned, running and needed nowhere" in decision.removal
    assert "pushed 50d ago" in decision.removal
    assert made.blobs == (digest("layer"),)
    assert made.freed_bytes == 500 + 1000
    assert decision.image_bytes == 500 + 1000


@pytest.mark.parametrize("why", [Why.PINNED, Why.RUNNING, Why.ROLLBACK])
@pytest.mark.parametrize("reference", ["sha-1111111", digest("old")])
def test_what_is_needed_outside_stays_by_tag_and_by_digest_with_the_evidence(why: Why, reference: str) -> None:
    made = plan(facts_of(image("old", "sha-1111111"), *newer_sets()), needed(reference, why))

    assert reasons(made, "old") == [why]
    assert made.decisions[0].reasons[0].evidence == "prod at 1234567"
    assert (made.blobs, made.links, made.freed_bytes) == ((), (), 0)


def test_a_pin_in_one_repository_keeps_nothing_in_another() -> None:
    facts = facts_of(image("old", "sha-1111111"), image("other", "sha-1111111", repository="home/clock"), *newer_sets())
    made = plan(facts, needed("sha-1111111"))

    assert [fact.digest for fact in made.removed] == [digest("other")]


def test_a_running_digest_is_kept_wherever_it_is() -> None:
    facts = facts_of(image("old"), image("old", repository="mirror/sensor"))
    made = plan(facts, needed(digest("old"), Why.RUNNING, repository=""))

    assert made.removed == []


def test_a_runtime_that_tells_the_digest_of_the_configuration_is_understood() -> None:
    made = plan(facts_of(image("old", blobs=("config",))), needed(digest("config"), Why.RUNNING, repository=""))

    assert reasons(made, "old") == [Why.RUNNING]


def test_what_is_needed_and_not_here_is_told() -> None:
    made = plan(facts_of(), needed("sha-2222222"))

    assert [root.reference for root in made.missing] == ["sha-2222222"]


def test_a_channel_stays_and_so_does_all_that_its_set_names() -> None:
    facts = facts_of(image("one"), index("set", "canary", of=("one",)), *newer_sets())
    made = plan(facts)

    assert reasons(made, "set") == [Why.CHANNEL]
    assert reasons(made, "one") == [Why.INDEX]


def test_the_newest_sets_stay_with_their_images_and_older_ones_go() -> None:
    facts = facts_of(
        *(image(f"i{n}", f"sha-000000{n}", days=n, blobs=(f"b{n}",)) for n in (3, 4, 5)),
        *(index(f"s{n}", f"sha-000000{n}", of=(f"i{n}",), days=n) for n in (3, 4, 5)),
    )
    made = plan(facts)

    assert {fact.digest for fact in made.removed} == {digest("s5"), digest("i5")}
    assert reasons(made, "s3") == [Why.NEWEST]
    assert reasons(made, "i4") == [Why.INDEX]


def test_without_sets_the_newest_artifacts_of_each_repository_stay() -> None:
    made = plan(facts_of(*(image(f"i{n}", f"sha-000000{n}", days=n) for n in (3, 4, 5))))

    assert [fact.digest for fact in made.removed] == [digest("i5")]


def test_entries_of_an_index_of_indexes_stay_in_whatever_repository() -> None:
    inner = index("inner", of=("leaf",), repository="else/app")
    outer = index("outer", "v1", of=("inner",), repository="else/all")
    made = plan(facts_of(image("leaf", repository="third/app"), inner, outer))

    assert made.removed == []


def test_referrers_live_and_die_with_what_they_speak_of() -> None:
    signed, dropped = image("signed", "canary"), image("dropped", "sha-1111111")
    facts = facts_of(
        signed,
        dropped,
        replace(image("sbom"), subject=digest("signed")),
        replace(image("signature of the sbom"), subject=digest("sbom")),
        replace(image("orphan"), subject=digest("dropped")),
        *newer_sets(),
    )
    made = plan(facts)

    assert reasons(made, "sbom") == [Why.SUBJECT]
    assert reasons(made, "signature of the sbom") == [Why.SUBJECT]
    assert {fact.digest for fact in made.removed} == {digest("dropped"), digest("orphan")}


def test_a_signature_under_a_fallback_tag_goes_with_its_image() -> None:
    gone = image("dropped", "sha-1111111")
    facts = facts_of(
        gone,
        image("its signature", f"sha256-{digest('dropped')[7:]}.sig"),
        image("stays", "canary"),
        image("another", f"sha256-{digest('stays')[7:]}"),
        *newer_sets(),
    )
    made = plan(facts)

    assert {fact.digest for fact in made.removed} == {digest("dropped"), digest("its signature")}
    assert reasons(made, "another") == [Why.SUBJECT]


def test_tags_of_a_repository_of_no_blueprint_all_stay_and_what_has_no_tag_goes() -> None:
    facts = facts_of(image("v1", "sha-1111111", repository="guest/app"), image("lost", repository="guest/app"))
    made = plan(facts)

    assert reasons(made, "v1") == [Why.TAGGED]
    assert [fact.digest for fact in made.removed] == [digest("lost")]


def test_an_owner_may_keep_the_newest_tags_of_such_a_repository_alone() -> None:
    facts = facts_of(*(image(f"v{n}", f"v{n}", repository="guest/app", days=n) for n in (3, 4, 5)))
    made = plan(facts, policy=Policy(outside_tags=2))

    assert [fact.digest for fact in made.removed] == [digest("v5")]


@pytest.mark.parametrize(("days", "kept"), [(0.08, True), (0.09, False)])
def test_what_was_pushed_or_tagged_within_the_grace_period_stays(days: float, kept: bool) -> None:
    retagged = replace(image("moved"), tags=(TagFact("sha-1111111", NOW - days * DAY),))
    made = plan(facts_of(image("new", days=days), retagged, *newer_sets()))

    assert (made.removed == []) == kept
    assert (Why.GRACE in reasons(made, "new")) == kept


def test_what_somebody_has_just_asked_for_stays() -> None:
    touches = {("home/sensor", digest("old")): NOW - 60}
    made = plan(facts_of(image("old"), touches=touches))

    assert reasons(made, "old") == [Why.LEASE]


def test_blobs_of_a_push_in_flight_stay_until_their_manifest_comes() -> None:
    young = LinkFact("home/sensor", digest("young"), NOW - 60)
    asked = LinkFact("home/sensor", digest("asked"), NOW - DAY)
    lost = LinkFact("home/sensor", digest("lost"), NOW - DAY)
    touches = {asked.key: NOW - 60}
    made = plan(facts_of(links=(young, asked, lost), touches=touches))

    assert made.links == (lost,)
    assert [(link, reason.why) for link, reason in made.held_blobs] == [(asked, Why.LEASE), (young, Why.GRACE)]


def test_soon_after_a_start_no_unneeded_blob_goes_because_leases_were_forgotten() -> None:
    lost = LinkFact("home/sensor", digest("lost"), NOW - DAY)
    made = plan(facts_of(links=(lost,), started_at=NOW - 60))

    assert made.links == ()
    assert "started 60s ago" in made.held_blobs[0][1].evidence


def test_soon_after_a_start_no_manifest_goes_because_leases_were_forgotten() -> None:
    facts = facts_of(image("old", "sha-1111111"), *newer_sets(), started_at=NOW - 60)
    made = plan(facts)
    later = plan(replace(facts, started_at=NOW - POLICY.settling_seconds))

    assert (made.removed, made.links) == ([], ())
    assert reasons(made, "old") == [Why.LEASE]
    assert [fact.digest for fact in later.removed] == [digest("old")]


def test_a_blob_goes_from_one_repository_and_stays_in_another_that_needs_it() -> None:
    facts = facts_of(image("old", "sha-1111111"), image("used", "canary", repository="home/clock"), *newer_sets())
    made = plan(facts)

    assert [link.repository for link in made.links] == ["home/sensor"]
    assert (made.blobs, made.freed_bytes) == ((), 500)


def test_a_missing_subject_is_waited_for_within_the_grace_period_alone() -> None:
    early = replace(image("early", days=0.01), subject=digest("coming"))
    late = replace(image("late"), subject=digest("never came"))
    made = plan(facts_of(early, late))

    assert [fact.digest for fact in made.removed] == [digest("late")]
    assert "what is not here" in next(one.removal for one in made.decisions if not one.is_kept)


def test_many_reasons_of_one_kind_are_counted() -> None:
    roots = replace(
        ROOTS,
        needed=tuple(Root("sha-1111111", Reason(Why.PINNED, f"prod at {n}"), "home/sensor") for n in range(9)),
    )
    (decision,) = plan(facts_of(image("old", "sha-1111111")), roots).decisions

    assert len([reason for reason in decision.reasons if reason.why is Why.PINNED]) == 3
    assert decision.reasons[2].evidence == "prod at 2, and 6 more"


def test_a_subject_is_removed_before_its_referrers() -> None:
    subject, signature = image("image"), replace(image("signature"), subject=digest("image"))
    old = image("old signature", f"sha256-{digest('image')[7:]}.sig")
    rounds = [{fact.digest for fact in one} for one in removal_rounds([old, signature, subject])]

    assert rounds == [{digest("image")}, {digest("signature"), digest("old signature")}]


def test_an_index_is_removed_before_its_entries() -> None:
    leaf, middle, top = image("leaf"), index("middle", of=("leaf",)), index("top", of=("middle", "leaf"))
    rounds = [[fact.digest for fact in one] for one in removal_rounds([leaf, middle, top])]

    assert rounds == [[digest("top")], [digest("middle")], [digest("leaf")]]
