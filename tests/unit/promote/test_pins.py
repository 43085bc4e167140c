"""Moving a pin changes the pin and nothing else."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from towpath.promote.pins import Pin, PinError, find_pin, read_pins, set_pins

OVERLAY = """\
# Production.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: prod

resources: [../../base, namespace.yaml]   # order does not matter

images:
  # renovate: ignore
  - name: sensor            # the fleet
    newName: registry.local:7070/home/sensor
    newTag: sha-1111111     # moved by `towpath promote`
  - newTag: 'sha-2222222'
    name: chaos-controller
replicas:
  - {name: sensor, count: 3}
"""


def test_pins_are_read_in_the_order_of_the_file() -> None:
    assert list(read_pins(OVERLAY).values()) == [
        Pin("sensor", "registry.local:7070/home/sensor", "sha-1111111"),
        Pin("chaos-controller", "", "sha-2222222"),
    ]


def test_moving_a_pin_keeps_every_comment_and_blank_line() -> None:
    edited = set_pins(OVERLAY, {"sensor": Pin("sensor", tag="sha-abcdef0")})

    assert edited == OVERLAY.replace("sha-1111111", "sha-abcdef0")


def test_quotes_stay_as_they_were() -> None:
    edited = set_pins(OVERLAY, {"chaos-controller": Pin("chaos-controller", tag="sha-abcdef0")})

    assert edited == OVERLAY.replace("'sha-2222222'", "'sha-abcdef0'")


def test_several_pins_move_in_one_edit() -> None:
    edited = set_pins(OVERLAY, {name: Pin(name, tag="sha-abcdef0") for name in ("sensor", "chaos-controller")})

    assert {pin.tag for pin in read_pins(edited).values()} == {"sha-abcdef0"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "images:\n- name: a\n  digest: sha256:00 # old\n",
            "images:\n- name: a\n  newTag: sha-abcdef0 # old\n",
            id="digest",
        ),
        pytest.param(
            "images:\n- name: a\n  newTag: x\n  digest: sha256:00\n",
            "images:\n- name: a\n  newTag: sha-abcdef0\n",
            id="both",
        ),
        pytest.param(
            "images:\n- digest: sha256:00\n  name: a\n  newTag: x\n",
            "images:\n- name: a\n  newTag: sha-abcdef0\n",
            id="digest-first",
        ),
        pytest.param(
            "images:\n- name: a # why\n", "images:\n- name: a # why\n  newTag: sha-abcdef0\n", id="name-alone"
        ),
        pytest.param("images: [{name: a, newTag: x}]\n", "images: [{name: a, newTag: sha-abcdef0}]\n", id="flow"),
        pytest.param("images: [{name: a}]\n", "images: [{name: a, newTag: sha-abcdef0}]\n", id="flow-name-alone"),
        pytest.param(
            "images: [{name: a, newTag: x, digest: 'sha256:0'}]\n",
            "images: [{name: a, newTag: sha-abcdef0}]\n",
            id="flow-both",
        ),
        pytest.param("kind: K", "kind: K\nimages:\n  - name: a\n    newTag: sha-abcdef0\n", id="no-images"),
        pytest.param(
            "images: []\nkind: K\n", "images:\n  - name: a\n    newTag: sha-abcdef0\nkind: K\n", id="empty-list"
        ),
        pytest.param(
            "images:\n- name: b\n  newTag: x   # b\nkind: K\n",
            "images:\n- name: b\n  newTag: x   # b\n- name: a\n  newTag: sha-abcdef0\nkind: K\n",
            id="another-entry",
        ),
    ],
)
def test_every_form_of_an_entry_ends_with_the_new_tag(before: str, after: str) -> None:
    assert set_pins(before, {"a": Pin("a", tag="sha-abcdef0")}) == after


def test_a_new_entry_names_its_repository() -> None:
    edited = set_pins("kind: K\n", {"a": Pin("a", "host:1/home/a", "sha-abcdef0")})

    assert read_pins(edited) == {"a": Pin("a", "host:1/home/a", "sha-abcdef0")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("images: [", "Syntax", id="broken"),
        pytest.param("- a\n", "NotAMapping", id="list"),
        pytest.param("images: {a: b}\n", "NotAList", id="images-mapping"),
        pytest.param("images:\n- name: a\n- name: a\n", "Duplicate", id="twice"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(text: str, reason: str) -> None:
    with pytest.raises(PinError, match=rf"overlay\.yaml.*\({reason}\)"):
        read_pins(text, file="overlay.yaml")


def test_a_tag_shared_through_an_anchor_is_not_moved() -> None:
    text = "commonAnnotations: {version: &v sha-1111111}\nimages:\n- name: a\n  newTag: *v\n"
    with pytest.raises(PinError, match="Alias"):
        set_pins(text, {"a": Pin("a", tag="sha-abcdef0")})


@pytest.mark.parametrize("tag", ["sha-1234567", "1.0", "2024-01-01", "canary", "null", "sha-0000000"])
def test_a_tag_is_still_a_string_when_yaml_reads_it_back(tag: str) -> None:
    edited = set_pins("images:\n- name: a\n", {"a": Pin("a", tag=tag)})

    assert yaml.safe_load(edited)["images"][0]["newTag"] == tag


def test_a_service_is_found_by_name_or_by_repository() -> None:
    pins = {
        "sensor": Pin("sensor", "reg/home/sensor", "x"),
        "placeholder": Pin("placeholder", "reg/home/chaos", "y"),
    }

    assert find_pin(pins, "sensor", "reg/home") == pins["sensor"]
    assert find_pin(pins, "chaos", "reg/home") == pins["placeholder"]
    assert find_pin(pins, "other", "reg/home") is None


NAMES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.lists(
    st.tuples(NAMES, st.booleans(), st.booleans(), st.sampled_from(["", "  # note"])), unique_by=lambda e: e[0]
)


@given(ENTRIES, st.dictionaries(NAMES, st.sampled_from(["sha-1234567", "sha-abcdef0"]), min_size=1))
def test_whatever_the_file_holds_only_the_pins_change(
    entries: list[tuple[str, bool, bool, str]], moves: dict[str, str]
) -> None:
    lines = ["kind: Kustomization", "images:" if entries else "resources: []"]
    for name, tagged, digested, comment in entries:
        lines.append(f"  - name: {name}{comment}")
        if tagged:
            lines.append(f"    newTag: old{comment}")
        if digested:
            lines.append("    digest: sha256:00")
    text = "\n".join(lines) + "\n# the end\n"

    edited = set_pins(text, {name: Pin(name, tag=tag) for name, tag in moves.items()})

    pins = read_pins(edited)
    assert {name: pins[name].tag for name in moves} == moves
    assert edited.count("# note") == text.count("# note")
    assert "# the end" in edited
