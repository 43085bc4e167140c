"""in-toto Statements v1: what is said (a predicate of some type) of which artifacts (subjects, by digest)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from towpath.attest.errors import InvalidAttestationError
from towpath.oci.digest import Digest, InvalidDigestError

TYPE = "https://in-toto.io/Statement/v1"
# Cosign wrote this one for years; the fields that are read here are the same.
_TYPES = frozenset({TYPE, "https://in-toto.io/Statement/v0.1"})


@dataclass(frozen=True, slots=True)
class Subject:
    """An artifact by name and digest; the digest is what counts."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; `predicate` is JSON as its type says."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def is_about(self, digest: Digest) -> bool:
        """Whether one of the subjects is this artifact."""
        return any(subject.digest == digest for subject in self.subjects)


def format_statement(statement: Statement) -> bytes:
    """The statement as JSON: sorted keys, no white space, so equal statements are equal bytes."""
    document = {
        "_type": TYPE,
        "subject": [
            {"name": subject.name, "digest": {subject.digest.algorithm: subject.digest.hex}}
            for subject in statement.subjects
        ],
        "predicateType": statement.predicate_type,
        "predicate": statement.predicate,
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def parse_statement(raw: bytes) -> Statement:
    """Read a statement. Raises InvalidAttestationError."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidAttestationError(f"statement is no JSON (Syntax): {error.msg}") from error
    if not isinstance(document, dict) or document.get("_type") not in _TYPES:
        raise InvalidAttestationError(f"statement is of no known type (Schema): expected {TYPE}")
    predicate_type, predicate = document.get("predicateType"), document.get("predicate")
    if not isinstance(predicate_type, str) or not isinstance(predicate, dict):
        raise InvalidAttestationError("statement is malformed (Schema): expected predicateType and predicate")
    return Statement(_read_subjects(document.get("subject")), predicate_type, predicate)


def _read_subjects(items: Any) -> tuple[Subject, ...]:
    if not isinstance(items, list) or not items:
        raise InvalidAttestationError("statement is malformed (Schema): it has no subject")
    found = []
    for item in items:
        try:
            named, digests = item.get("name", ""), item["digest"]
            # A digest of an algorithm that nobody here can compute is no identity, and no fault either.
            found += [Subject(str(named), digest) for digest in map(_find_digest, digests.items()) if digest]
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidAttestationError("statement is malformed (Schema): a subject has no digest") from error
    return tuple(found)


def _find_digest(pair: tuple[str, Any]) -> Digest | None:
    try:
        return Digest.parse(f"{pair[0]}:{pair[1]}")
    except InvalidDigestError:
        return None
