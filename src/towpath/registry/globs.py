"""Globs of repositories, as grants have them: which can stand for a repository at all.

`*` also matches `/`. A glob that no name can match would be taken as a right that never is one, or as an opening that
opens nothing, so it is refused where it is said. Pure.
"""

import re

from towpath.errors import UserError

_GLOB = re.compile(r"[a-z0-9*](?:[a-z0-9._/*-]{0,254})")
# The grammar of names (distribution specification: components of letters and digits, between them one `.`, one or two
# `_` or any number of `-`) as an automaton: what may follow what. A name ends in "letter".
_LETTER = "letter"
_START = "start"
_STEPS = {
    _START: {"a": _LETTER},
    _LETTER: {"a": _LETTER, ".": "dot", "_": "line", "-": "dash", "/": _START},
    "dot": {"a": _LETTER},
    "line": {"a": _LETTER, "_": "lines"},
    "lines": {"a": _LETTER},
    "dash": {"a": _LETTER, "-": "dash"},
}


def check_repository_glob(glob: str) -> None:
    """Refuse what cannot stand for repositories. Raises UserError."""
    if not _GLOB.fullmatch(glob):
        problem = "expected a name such as home/api, or home/*"
    elif not _can_match(glob):
        problem = "no repository can have a name that it matches; expected a name such as home/api, or home/*"
    else:
        return
    raise UserError(
        f"repository {glob[:80]!r} cannot be granted (BadRepository): {problem}",
        hint="without the registry's address, in lower case",
    )


def _can_match(glob: str) -> bool:
    """Whether a name exists that the glob matches: both are walked together."""
    states = {_START}
    for character in glob:
        if character == "*":
            # Each state can be left for a letter, and from there every other is reached.
            states = set(_STEPS) if states else states
        else:
            kind = "a" if character.isalnum() else character
            states = {_STEPS[state][kind] for state in states if kind in _STEPS[state]}
    return _LETTER in states
