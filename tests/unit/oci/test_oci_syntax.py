from towpath.oci.syntax import mark


def test_a_long_text_is_shown_around_the_place() -> None:
    text = "a" * 500 + "!" + "b" * 500
    shown, marker = mark(text, 500).splitlines()
    assert shown[marker.index("^")] == "!"
    assert len(shown) < 200


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert "\x1b" not in mark("a\x1b[2Jb", 1)
