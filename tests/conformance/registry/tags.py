"""The tag list: complete, in order, in pages."""

from conformance.registry.examination import Examination
from conformance.registry.expectations import Failed, expect_status, read_json
from conformance.registry.facets import Facet
from conformance.registry.wire import Reply


def examine_tag_list(exam: Examination, title: str, tags: list[str]) -> None:
    """What was pushed is listed; `n` and `last` cut the list as they should."""
    listed: list[str] = []
    with exam.check(title, "tag list", Facet.TAG_LIST):
        listed += read_tags(exam, exam.wire.send("GET", exam.path("tags/list")))
        missing = set(tags) - set(listed)
        if missing:
            reply = exam.wire.send("GET", exam.path("tags/list"))
            raise Failed(reply, f"tags {listed}", f"also {sorted(missing)}")
    if not listed:
        return
    for number in (0, 1, len(listed)):
        with exam.check(title, f"tag list, {number} of {len(listed)}", Facet.TAG_LIST):
            _expect_page(exam, f"tags/list?n={number}", listed[:number])
    if len(listed) > 1:
        last = listed[len(listed) // 2 - 1]
        with exam.check(title, f"tag list after {last}", Facet.TAG_LIST):
            _expect_page(exam, f"tags/list?last={last}", listed[len(listed) // 2 :])
        with exam.check(title, f"tag list, 1 after {last}", Facet.TAG_LIST):
            _expect_page(exam, f"tags/list?n=1&last={last}", [listed[len(listed) // 2]])
        with exam.check(title, "tag list, page after page", Facet.TAG_LIST):
            _expect_pages(exam, listed)


def read_tags(exam: Examination, reply: Reply) -> list[str]:
    """The tags of a page, which must be in order."""
    expect_status(reply, 200)
    document = read_json(reply)
    tags = document.get("tags") or []
    if document.get("name") != exam.repository:
        raise Failed(reply, f"name {document.get('name')!r}", f"name {exam.repository!r}")
    if tags not in (sorted(tags), sorted(tags, key=str.lower)):
        raise Failed(reply, f"tags {tags}", "tags in lexical order")
    return list(tags)


def _expect_page(exam: Examination, path: str, expected: list[str]) -> None:
    reply = exam.wire.send("GET", exam.path(path))
    found = read_tags(exam, reply)
    if found != expected:
        raise Failed(reply, f"tags {found}", f"tags {expected}")
    if not expected and find_link(reply):
        raise Failed(reply, f"Link: {find_link(reply)}", "no Link on a page of none")


def _expect_pages(exam: Examination, listed: list[str]) -> None:
    """Go on by `Link` where there is one, by `last` where there is none."""
    found: list[str] = []
    path = exam.path("tags/list?n=1")
    for _ in range(len(listed) + 1):
        reply = exam.wire.send("GET", path)
        page = read_tags(exam, reply)
        found += page
        if not page or len(found) >= len(listed):
            break
        path = find_link(reply) or exam.path(f"tags/list?n=1&last={page[-1]}")
    if found != listed:
        raise Failed(reply, f"pages of {found}", f"pages of {listed}")


def find_link(reply: Reply) -> str:
    """The location of the next page, or nothing."""
    for part in reply.headers.get("link", "").split(","):
        location, _, relation = part.strip().partition(">;")
        if relation.replace('"', "").strip() == "rel=next":
            return str(location.lstrip("<"))
    return ""
