"""Verification: what counts as proven, what as disproven, and what as neither."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.attested import COMMIT, PLATFORM, REFERENCE, SOURCE, Shelf
from fakes.memory_registry import MemoryRegistry
from towpath.attest.dsse import IN_TOTO, Envelope, Signature, sign
from towpath.attest.findings import Verdict, conclude
from towpath.attest.keys import KeyKind, generate_key
from towpath.attest.referrer import bundle_referrer, sbom_referrer
from towpath.attest.sbom import dump_sbom
from towpath.attest.statement import format_statement
from towpath.attest.verification import MOST_REFERRERS, Expectation, Verification, verify
from towpath.errors import IntegrityError, NotFoundError, RemoteError
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest
from towpath.ociclient.errors import Failure, PullCause, PullError

OTHER_COMMIT = "f" * 40
KEY = generate_key(KeyKind.P256)
STRANGER = generate_key(KeyKind.ED25519)
TRUSTING = Expectation(keys=(KEY.public,))


@pytest.fixture
async def shelf() -> Shelf:
    return await Shelf(MemoryRegistry()).fill()


def verdicts(found: Verification) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in found.findings}


def evidence(found: Verification, check: str) -> str:
    return next(finding.evidence for finding in found.findings if finding.check == check)


async def test_an_image_signed_by_a_trusted_key_passes_every_check(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    asked: list[str] = []

    async def find_commit(commit: str) -> str | None:
        asked.append(commit)
        return commit

    expected = Expectation((KEY.public,), source="https://git.example/home", commit=COMMIT, find_commit=find_commit)
    found = await shelf.verify(expected)
    checks = ["image", "complete", "attached", "signature", "subject", "provenance", "commit", "sbom"]
    assert verdicts(found) == dict.fromkeys(checks, Verdict.PASSED)
    assert (found.digest, asked) == (shelf.subject.digest, [COMMIT])
    assert KEY.key_id[:12] in evidence(found, "signature")


async def test_an_image_with_nothing_attached_is_called_unsigned(shelf: Shelf) -> None:
    found = await shelf.verify(Expectation())
    assert conclude(found.findings) is Verdict.INSUFFICIENT
    assert "UNSIGNED" in evidence(found, "signature")
    assert verdicts(await shelf.verify(TRUSTING))["signature"] is Verdict.FAILED


async def test_what_nobody_signed_is_read_and_called_unsigned(shelf: Shelf) -> None:
    await shelf.attach_unsigned(shelf.origin())
    await shelf.attach(sbom_referrer(shelf.subject, dump_sbom(shelf.contents()), created=""))
    found = await shelf.verify(Expectation())
    assert verdicts(found).pop("signature") is Verdict.INSUFFICIENT
    assert {v for name, v in verdicts(found).items() if name != "signature"} == {Verdict.PASSED}
    assert conclude((await shelf.verify(Expectation(unsigned_is_fine=True))).findings) is Verdict.PASSED
    assert verdicts(await shelf.verify(TRUSTING))["signature"] is Verdict.FAILED


async def test_signatures_without_a_key_to_judge_by_prove_nothing(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    found = await shelf.verify(Expectation())
    assert verdicts(found)["signature"] is Verdict.INSUFFICIENT
    assert "no key was given" in evidence(found, "signature")


async def test_the_signature_of_a_stranger_is_not_enough(shelf: Shelf) -> None:
    await shelf.attach_signed(STRANGER, shelf.origin(), shelf.listed(shelf.contents()))
    found = await shelf.verify(TRUSTING)
    assert verdicts(found)["signature"] is Verdict.FAILED
    assert verdicts(found)["provenance"] is Verdict.INSUFFICIENT


async def test_one_of_several_trusted_keys_is_enough(shelf: Shelf) -> None:
    await shelf.attach_signed(STRANGER, shelf.origin(), shelf.listed(shelf.contents()))
    found = await shelf.verify(Expectation(keys=(KEY.public, STRANGER.public)))
    assert conclude(found.findings) is Verdict.PASSED


async def test_what_strangers_attach_beside_has_no_say(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    await shelf.attach_signed(STRANGER, shelf.origin(commit=OTHER_COMMIT))
    await shelf.attach_unsigned(shelf.origin(commit=OTHER_COMMIT))
    await shelf.attach(bundle_referrer(shelf.subject, b"junk", predicate_type="x", created=""))
    assert conclude((await shelf.verify(TRUSTING)).findings) is Verdict.PASSED


async def test_a_payload_that_was_changed_after_it_was_signed_is_not_believed(shelf: Shelf) -> None:
    honest = sign(IN_TOTO, format_statement(shelf.origin()), [KEY])
    forged = Envelope(IN_TOTO, format_statement(shelf.origin(commit=OTHER_COMMIT)), honest.signatures)
    await shelf.attach_envelope(forged, KEY)
    await shelf.attach_signed(KEY, shelf.listed(shelf.contents()))
    found = await shelf.verify(TRUSTING)
    assert verdicts(found)["signature"] is Verdict.FAILED
    assert "provenance" in evidence(found, "signature")


async def test_a_signature_over_something_that_is_no_statement_is_named(shelf: Shelf) -> None:
    await shelf.attach_envelope(sign("text/plain", b"I like this image", [KEY]), KEY)
    found = await shelf.verify(TRUSTING)
    assert verdicts(found)["attached"] is Verdict.FAILED
    assert "text/plain" in evidence(found, "attached")


async def test_a_signature_that_was_moved_from_another_image_is_found_out(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(digest=Digest.of(b"another image")), shelf.listed(shelf.contents()))
    found = await shelf.verify(TRUSTING)
    assert verdicts(found)["subject"] is Verdict.FAILED
    assert str(Digest.of(b"another image"))[:19] in evidence(found, "subject")


async def test_provenance_that_contradicts_the_label_is_found_out(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(commit=OTHER_COMMIT), shelf.listed(shelf.contents()))
    found = await shelf.verify(TRUSTING)
    assert verdicts(found)["provenance"] is Verdict.FAILED
    assert OTHER_COMMIT[:12] in evidence(found, "provenance")


@pytest.mark.parametrize(
    "expected",
    [
        Expectation((KEY.public,), commit=OTHER_COMMIT),
        Expectation((KEY.public,), source="https://git.example/elsewhere"),
    ],
)
async def test_another_commit_or_source_than_expected_fails(shelf: Shelf, expected: Expectation) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    assert verdicts(await shelf.verify(expected))["provenance"] is Verdict.FAILED


@pytest.mark.parametrize("source", ["https://GIT.example/home", "git+https://git.example/home.git/", SOURCE])
async def test_spellings_of_one_source_are_one(shelf: Shelf, source: str) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    assert verdicts(await shelf.verify(Expectation((KEY.public,), source=source)))["provenance"] is Verdict.PASSED


async def test_a_path_in_another_case_is_another_source(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))
    expected = Expectation((KEY.public,), source="https://git.example/Home.git")
    assert verdicts(await shelf.verify(expected))["provenance"] is Verdict.FAILED


async def test_a_commit_that_the_repository_lacks_fails(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents()))

    async def find_commit(_commit: str) -> str | None:
        return None

    found = await shelf.verify(Expectation((KEY.public,), find_commit=find_commit))
    assert verdicts(found)["commit"] is Verdict.FAILED


async def test_outside_of_a_repository_no_commit_is_asked_for(shelf: Shelf) -> None:
    assert "commit" not in verdicts(await shelf.verify(TRUSTING))


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        ({"bomFormat": "SPDX"}, Verdict.FAILED),
        ({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [7]}, Verdict.FAILED),
        ({"bomFormat": "CycloneDX", "specVersion": "1.6"}, Verdict.PASSED),
    ],
)
async def test_a_signed_sbom_is_judged_by_its_form(shelf: Shelf, document: dict[str, Any], verdict: Verdict) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(document))
    assert verdicts(await shelf.verify(TRUSTING))["sbom"] is verdict


async def test_an_sbom_about_another_image_fails(shelf: Shelf) -> None:
    await shelf.attach_signed(KEY, shelf.origin(), shelf.listed(shelf.contents(digest=Digest.of(b"other"))))
    assert verdicts(await shelf.verify(TRUSTING))["sbom"] is Verdict.FAILED


async def test_without_keys_what_cannot_be_read_is_a_failure(shelf: Shelf) -> None:
    await shelf.attach(bundle_referrer(shelf.subject, b"junk", predicate_type="x", created=""))
    assert verdicts(await shelf.verify(Expectation()))["attached"] is Verdict.FAILED


async def test_artifacts_of_other_kinds_are_left_alone(shelf: Shelf) -> None:
    config = await shelf.put(b"{}", media.OCI_EMPTY)
    raw = format_manifest(
        Manifest(config, (config,), artifact_type="application/vnd.example.helm", subject=shelf.subject)
    )
    target = replace(REFERENCE, tag="", digest=Digest.of(raw))
    await shelf.registry.push_manifest(target, raw, media.OCI_MANIFEST)
    assert "nothing is attached" in evidence(await shelf.verify(Expectation()), "attached")


async def test_an_image_without_a_layer_in_the_registry_fails(shelf: Shelf) -> None:
    del shelf.registry.blobs[REFERENCE.name, Digest.of(b"layer")]
    assert verdicts(await shelf.verify(Expectation()))["complete"] is Verdict.FAILED


async def test_an_attestation_that_is_listed_and_gone_is_named(shelf: Shelf) -> None:
    await shelf.attach_unsigned(shelf.origin())
    listed = (await shelf.registry.referrers(REFERENCE.with_digest(shelf.subject.digest)))[0].digest

    def lose(operation: str) -> None:
        if operation == f"manifest {replace(REFERENCE, tag='', digest=listed)}":
            raise PullError(REFERENCE, Failure(PullCause.NOT_FOUND, "gone", 404))

    shelf.registry.before = lose
    found = await shelf.verify(Expectation())
    assert verdicts(found)["attached"] is Verdict.FAILED
    assert "not there" in evidence(found, "attached")


async def test_no_image_is_an_error_of_its_own() -> None:
    with pytest.raises(NotFoundError):
        await verify(MemoryRegistry(), REFERENCE, PLATFORM, Expectation())


async def test_a_registry_that_fails_is_no_verdict(shelf: Shelf) -> None:
    def refuse(operation: str) -> None:
        if operation.startswith("referrers"):
            raise PullError(REFERENCE, Failure(PullCause.SERVER_ERROR, "down", 500))

    shelf.registry.before = refuse
    with pytest.raises(RemoteError):
        await shelf.verify(Expectation())


async def test_a_heap_of_attestations_is_refused_and_never_cut(shelf: Shelf) -> None:
    for number in range(MOST_REFERRERS + 1):
        await shelf.attach_unsigned(shelf.origin(commit=f"{number:040x}"))
    with pytest.raises(IntegrityError, match="TooMany"):
        await shelf.verify(Expectation())


async def test_a_signature_without_bytes_matches_no_key(shelf: Shelf) -> None:
    await shelf.attach_envelope(Envelope(IN_TOTO, format_statement(shelf.origin()), (Signature("", b""),)), KEY)
    assert verdicts(await shelf.verify(TRUSTING))["signature"] is Verdict.FAILED
