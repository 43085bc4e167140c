"""How a text that breaks a grammar is reported: what was expected, and a marker under the place.

Every parser of this package raises `InvalidTextError` or a subclass; the message keeps the text readable when it is
long and the marker points at the first character that cannot be right.
"""

from towpath.errors import UserError

# 160: longer than any sensible reference, short enough for one screen line or two.
SHOWN_CHARACTERS = 160


class InvalidTextError(UserError):
    """A text that does not follow its grammar. `position` counts characters from 0."""

    def __init__(self, what: str, text: str, problem: str, *, position: int, hint: str = "") -> None:
        self.text = text
        self.problem = problem
        self.position = position
        super().__init__(f"{what} is invalid (Syntax): {problem}\n{mark(text, position)}", hint=hint)


def mark(text: str, position: int) -> str:
    """The text and a caret under `position`, both indented by four spaces.

    Control characters are shown as `?`, so that what is printed cannot move the cursor.
    """
    start = max(0, position - SHOWN_CHARACTERS // 2) if len(text) > SHOWN_CHARACTERS else 0
    shown = "".join(c if c.isprintable() else "?" for c in text[start : start + SHOWN_CHARACTERS])
    return f"    {shown}\n    {' ' * (position - start)}^"


def describe_character(text: str, position: int) -> str:
    """The character at `position` in words fit for "… is not allowed here"."""
    if position >= len(text):
        return "the end of the text"
    character = text[position]
    if character.isspace():
        return "white space"
    if "A" <= character <= "Z":
        return f"the capital letter {character!r}"
    return repr(character) if character.isprintable() else "a control character"
