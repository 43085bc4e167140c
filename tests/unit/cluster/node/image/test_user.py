from pathlib import Path

import pytest

from towpath.cluster.node.image.user import MOST_CHARACTERS, UnknownUserError, User, read_file, resolve_user

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:\n"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, "/")),
        ("app", User(1000, 1001, "/home/app")),
        ("1000", User(1000, 1001, "/home/app")),
        ("app:staff", User(1000, 50, "/home/app")),
        ("4242:7", User(4242, 7, "/")),
        ("root", User(0, 0, "/root")),
    ],
)
def test_a_user_is_known_by_name_or_number(text: str, user: User) -> None:
    assert resolve_user(text, passwd=PASSWD, group=GROUP) == user


@pytest.mark.parametrize("text", ["nobody-here", "app:nogroup"])
def test_an_unknown_name_is_an_error(text: str) -> None:
    with pytest.raises(UnknownUserError, match="unable to find"):
        resolve_user(text, passwd=PASSWD, group=GROUP)


def test_the_topmost_layer_that_has_a_file_counts_and_links_do_not(tmp_path: Path) -> None:
    for name, content in (("a", "lower"), ("b", "upper")):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "passwd").write_text(content)
    (tmp_path / "c" / "etc").mkdir(parents=True)
    (tmp_path / "c" / "etc" / "passwd").symlink_to("/etc/passwd")
    roots = [tmp_path / name for name in "abc"]
    assert read_file(roots, "etc/passwd") == "upper"
    assert read_file(roots, "etc/group") == ""


def test_a_file_without_end_is_read_from_its_beginning_only(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with (tmp_path / "etc" / "passwd").open("wb") as file:
        file.write(b"app:x:7:8::/home/app:/bin/sh\n")
        file.truncate(1 << 40)
    text = read_file([tmp_path], "etc/passwd")
    assert len(text) == MOST_CHARACTERS
    assert resolve_user("app", passwd=text, group="").uid == 7
