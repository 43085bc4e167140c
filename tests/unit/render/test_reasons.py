import pytest

from towpath.render.reasons import SHOWN_CHARACTERS, explain

ROOT = "/srv/tree"
OVERLAY = "k3s/overlays/dev"
MISSING = (
    "error: accumulating resources: accumulation err='accumulating resources from 'x.yaml': evalsymlink failure on "
    "'/srv/tree/k3s/overlays/dev/x.yaml' : lstat /srv/tree/k3s/overlays/dev/x.yaml: no such file or directory': must "
    "build at directory: not a valid directory"
)
UNTIDY = (
    "error: unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory "
    "'/srv/tree/k3s/base'"
)
BASE = (
    "error: accumulating resources: accumulation err='accumulating resources from '../../base': '/srv/tree/k3s/base' "
    "must resolve to a file': recursed accumulation of path '/srv/tree/k3s/base': accumulating resources: "
)
MALFORMED_IN_BASE = (
    f"{BASE}accumulating resources from 'clock.yaml': MalformedYAMLError: yaml: line 5: did not find expected key "
    "in File: clock.yaml"
)
NAMELESS_IN_BASE = (
    f"{BASE}accumulation err='accumulating resources from 'clock.yaml': missing metadata.name in object "
    "{{apps/v1 StatefulSet} {{ } map[] map[]}}': must build at directory: '/srv/tree/k3s/base/clock.yaml'"
)
BAD_BASE = (
    "error: accumulating resources: accumulation err='accumulating resources from '../../base': '/srv/tree/k3s/base' "
    "must resolve to a file': couldn't make target for path '/srv/tree/k3s/base': invalid Kustomization: json: "
    'unknown field "foo"'
)
TWICE = (
    "error: accumulating resources: accumulation err='merging resources from 'b.yaml': may not add resource with an "
    "already registered id: ConfigMap.v1.[noGrp]/a.[noNs]': must build at directory"
)


@pytest.mark.parametrize(
    ("text", "file", "reason"),
    [
        (
            MISSING,
            "k3s/overlays/dev/kustomization.yaml",
            "k3s/overlays/dev/x.yaml does not exist",
        ),
        (
            UNTIDY,
            "k3s/base",
            "no kustomization.yaml in this folder",
        ),
        (
            TWICE,
            "k3s/overlays/dev/kustomization.yaml",
            "two resources have the id ConfigMap.v1.[noGrp]/a.[noNs]",
        ),
        (
            'error: invalid Kustomization: json: unknown field "imagez"',
            "k3s/overlays/dev/kustomization.yaml",
            'unknown field "imagez"',
        ),
        (MALFORMED_IN_BASE, "k3s/base/clock.yaml", "yaml: line 5: did not find expected key"),
        (NAMELESS_IN_BASE, "k3s/base/clock.yaml", "an object without metadata.name (or without apiVersion or kind)"),
        (BAD_BASE, "k3s/base/kustomization.yaml", 'unknown field "foo"'),
        ("error: something\n  new", "", "something new"),
        ("", "", "kustomize failed without a message"),
    ],
)
def test_the_reason_and_the_file_are_found_in_what_kustomize_says(text: str, file: str, reason: str) -> None:
    found = explain(text, overlay=OVERLAY, root=ROOT)
    assert (found.file, found.text) == (file, reason)
    assert found.hint


def test_paths_of_this_machine_are_never_shown() -> None:
    assert ROOT not in explain(f"error: cannot read {ROOT}/k3s/a.yaml", overlay=OVERLAY, root=ROOT).text


def test_a_long_text_is_cut() -> None:
    assert len(explain("x" * 10_000, overlay=OVERLAY, root=ROOT).text) == SHOWN_CHARACTERS + 1
