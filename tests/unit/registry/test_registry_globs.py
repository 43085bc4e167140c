"""Which globs can stand for a repository."""

import re
from fnmatch import fnmatchcase
from itertools import product

import pytest

from towpath.errors import UserError
from towpath.oci.reference import InvalidReferenceError, parse_repository
from towpath.registry.globs import check_repository_glob


def is_taken(glob: str) -> bool:
    try:
        check_repository_glob(glob)
    except UserError:
        return False
    return True


@pytest.mark.parametrize(
    "glob",
    [
        "*",
        "home/*",
        "home/api",
        "*/api",
        "h*e/*-api",
        "a.b/c__d/e--f",
        "*.*",
        "home*",
        "a-*",
        "a_*",
        "a/*/b",
        "x" * 255,
    ],
)
def test_what_a_repository_may_be_called_is_taken(glob: str) -> None:
    check_repository_glob(glob)


@pytest.mark.parametrize(
    "glob",
    [
        "",
        "Foo",
        "s/../*",
        "home/",
        "/home",
        "home//*",
        "a..b",
        "a___b/*",
        "*/",
        "*-",
        "a._b",
        "reg:5000/*",
        "h?me",
        "[ab]",
        "a*.",
        "x" * 256,
    ],
)
def test_what_no_repository_can_be_called_is_refused(glob: str) -> None:
    with pytest.raises(UserError) as refused:
        check_repository_glob(glob)
    assert "BadRepository" in refused.value.message
    assert "expected a name such as home/api" in refused.value.message


def test_every_short_glob_is_taken_exactly_when_some_name_matches_it() -> None:
    names = ["".join(letters) for length in range(1, 7) for letters in product("a._-/", repeat=length)]
    valid = [name for name in names if _is_name(name)]
    for length in (1, 2, 3):
        for letters in product("a._-/*", repeat=length):
            glob = "".join(letters)
            matches = any(fnmatchcase(name, glob) for name in valid)
            assert is_taken(glob) == (matches and bool(re.match("[a*]", glob))), glob


def _is_name(text: str) -> bool:
    try:
        return bool(parse_repository(text))
    except InvalidReferenceError:
        return False
