"""`docs/performance.md`: prose by hand, and the part between two markers written by the bench of that name: pure.

<!-- bench push -->
the table
<!-- end -->
"""

import re
from collections.abc import Mapping

END = "<!-- end -->"


def fill_sections(document: str, sections: Mapping[str, str]) -> str:
    """The document with new content between the markers of each named section; the rest stays, byte for byte.

    Raises:
        ValueError: a section has no place in the document.
    """
    for name, content in sections.items():
        begin = f"<!-- bench {name} -->"
        pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(END)}", re.DOTALL)
        filled = f"{begin}\n{content.strip()}\n{END}"
        document, count = pattern.subn(lambda _match, filled=filled: filled, document)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"document cannot take section {name} (Markers): expected {begin} once, got {count}")
    return document
