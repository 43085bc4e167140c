"""SBOMs: valid by the official schema, the same for the same image, and honest about what was not seen."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from towpath.attest.components import Component, ComponentKind, image_purl, normalise_python_name, python_purl
from towpath.attest.errors import InvalidAttestationError
from towpath.attest.sbom import Described, dump_sbom, format_sbom, load_sbom, read_sbom
from towpath.oci.digest import Digest
from towpath.oci.reference import Reference

IMAGE = Described(
    Reference.parse("127.0.0.1:7070/home/sensor"), Digest.of(b"image"), "sha-0123456", "amd64", "2026-01-02T03:04:05Z"
)
HASH = f"sha256:{'a' * 64}"
COMPONENTS = (
    Component(ComponentKind.LIBRARY, "Flask", "3.0.1", python_purl("Flask", "3.0.1"), (HASH,), "BSD-3-Clause"),
    Component(ComponentKind.PLATFORM, "python", "3.11.7", "pkg:generic/python@3.11.7", (HASH,)),
    Component(ComponentKind.LIBRARY, "libssl.so.3", hashes=(HASH,), notes={"path": "usr/lib/libssl.so.3"}),
    Component(ComponentKind.CONTAINER, "library/python", "3.11", "", (HASH,)),
)


def make(components: tuple[Component, ...] = COMPONENTS, *, complete: bool = True) -> dict[str, Any]:
    return format_sbom(IMAGE, components, builder_version="1.2.3", complete=complete)


@pytest.mark.parametrize("complete", [True, False])
def test_the_official_schema_accepts_it(complete: bool) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(dump_sbom(make(complete=complete)).decode()) is None
    assert validator.validate_str(dump_sbom(make(())).decode()) is None


def test_the_same_components_in_any_order_give_the_same_bytes() -> None:
    assert dump_sbom(make(COMPONENTS)) == dump_sbom(make(COMPONENTS[::-1]))


def test_the_serial_number_follows_from_the_image() -> None:
    other = Described(IMAGE.reference, Digest.of(b"other"), "", "amd64", "")
    assert make()["serialNumber"] == make(())["serialNumber"]
    assert format_sbom(other, (), builder_version="1")["serialNumber"] != make()["serialNumber"]


def test_every_component_has_a_name_of_its_own_in_the_document() -> None:
    document = make()
    references = [component["bom-ref"] for component in document["components"]]
    assert len(set(references)) == len(COMPONENTS)
    assert document["dependencies"] == [{"ref": document["metadata"]["component"]["bom-ref"], "dependsOn": references}]


def test_it_says_when_something_could_not_be_looked_into() -> None:
    assert "compositions" not in make()
    assert make(complete=False)["compositions"][0]["aggregate"] == "incomplete"


def test_it_is_about_the_image() -> None:
    subject, count = read_sbom(load_sbom(dump_sbom(make())))
    assert (subject, count) == (IMAGE.digest, 4)


def test_a_document_of_another_tool_may_name_no_digest() -> None:
    assert read_sbom({"bomFormat": "CycloneDX", "specVersion": "1.5"}) == (None, 0)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"bomFormat": "SPDX", "specVersion": "1.6"},
        {"bomFormat": "CycloneDX", "specVersion": 1.6},
        {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": {}},
        {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "x"}]},
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "metadata": {"component": {"hashes": [{"alg": "SHA-256", "content": "zz"}]}},
        },
    ],
)
def test_anything_else_is_no_sbom(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidAttestationError):
        read_sbom(document)


@pytest.mark.parametrize("raw", [b"", b"[]", b"<bom/>"])
def test_bytes_that_are_no_object_are_no_sbom(raw: bytes) -> None:
    with pytest.raises(InvalidAttestationError):
        load_sbom(raw)


def test_package_urls_are_the_specifications() -> None:
    assert python_purl("Zope.Interface_x", "1.0+local") == "pkg:pypi/zope-interface-x@1.0%2Blocal"
    assert normalise_python_name("a__b..c") == "a-b-c"
    digest = Digest.of(b"x")
    purl = image_purl(Reference.parse("r.example/acme/app:1"), digest, architecture="arm64")
    assert purl == f"pkg:oci/app@sha256%3A{digest.hex}?arch=arm64&repository_url=r.example/acme/app"


def test_the_document_is_plain_json() -> None:
    assert json.loads(dump_sbom(make()))["specVersion"] == "1.6"
