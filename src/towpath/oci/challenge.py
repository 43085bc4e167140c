"""`WWW-Authenticate` challenges (RFC 9110, 11.6.1) and the scopes of the registry token flow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from towpath.oci.syntax import InvalidTextError

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110's word for a bare word
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|\s*$|\s*(?=,))")
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?=,|$)')
_ESCAPED = re.compile(r"\\(.)")

PULL = "pull"
PUSH = "push"
DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers. `scheme` is lower case; so are the parameters' names."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token allows: `repository:team/app:pull,push`."""

    kind: str
    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one scope. The name may hold a colon (a port), so the text is split from both ends."""
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if not colon or not kind or not name:
            raise InvalidTextError("scope", text, "expected <type>:<name>:<action>[,<action>…]", position=len(text))
        return cls(kind, name, frozenset(filter(None, actions.split(","))))

    @classmethod
    def of_repository(cls, repository: str, *actions: str) -> Self:
        """The scope of these actions on a repository."""
        return cls("repository", repository, frozenset(actions))

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


def parse_scopes(texts: list[str]) -> list[Scope]:
    """All scopes of a token request: the parameter may repeat, and one value may hold several, split by spaces."""
    return [Scope.parse(part) for text in texts for part in text.split()]


def parse_challenges(header: str) -> list[Challenge]:
    """Read a `WWW-Authenticate` header. What is malformed is left out: a client then has fewer ways in, not a crash."""
    challenges: list[Challenge] = []
    position = 0
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        if parameter and challenges:
            name, quoted, bare = parameter.groups()
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else bare
            last = challenges[-1]
            challenges[-1] = Challenge(last.scheme, {**last.parameters, name.lower(): value})
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if not scheme:
            break
        challenges.append(Challenge(scheme.group(1).lower()))
        position = scheme.end()
    return challenges


def format_challenge(challenge: Challenge) -> str:
    """The header of one challenge; the inverse of `parse_challenges`."""
    quoted = (f'{name}="{_quote(value)}"' for name, value in challenge.parameters.items())
    return f"{challenge.scheme.capitalize()} {','.join(quoted)}".rstrip()


def _quote(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
