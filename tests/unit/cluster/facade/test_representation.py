"""What goes out, in the form that was asked for."""

import pytest

from towpath.cluster.facade.representation import Representation, parse_accept, represent, represent_list
from towpath.kube.objects import GVK

KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
CONFIG_MAP = {
    "kind": "ConfigMap",
    "apiVersion": "v1",
    "metadata": {"name": "a", "resourceVersion": "7"},
    "data": {"k": "v"},
}


@pytest.mark.parametrize(
    ("accept", "representation"),
    [
        pytest.param(KUBECTL, Representation.TABLE, id="kubectl-get"),
        pytest.param("application/json", Representation.OBJECT, id="json"),
        pytest.param("", Representation.OBJECT, id="nothing"),
        pytest.param(
            "application/vnd.kubernetes.protobuf,application/json", Representation.OBJECT, id="protobuf-first"
        ),
        pytest.param(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Representation.METADATA, id="metadata"
        ),
        pytest.param("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Representation.OBJECT, id="old-table-alone"),
        pytest.param("application/json;as=Something;v=v1;g=meta.k8s.io", Representation.OBJECT, id="unknown"),
        pytest.param("*/*", Representation.OBJECT, id="anything"),
    ],
)
def test_the_first_form_that_we_have_is_chosen(accept: str, representation: Representation) -> None:
    assert parse_accept(accept) is representation


def test_a_table_row_carries_the_metadata_of_its_object() -> None:
    table = represent(CONFIG_MAP, Representation.TABLE, now=0)

    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:2] == ["a", 1]
    assert row["object"] == {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": CONFIG_MAP["metadata"]
    }  # fmt: skip


def test_a_list_of_metadata_shows_no_content() -> None:
    listed = represent_list(
        GVK("", "v1", "ConfigMap"), [CONFIG_MAP], Representation.METADATA, metadata={"resourceVersion": "9"}, now=0
    )

    assert listed["kind"] == "PartialObjectMetadataList"
    assert "data" not in listed["items"][0]


def test_an_object_goes_out_as_it_is() -> None:
    assert represent(CONFIG_MAP, Representation.OBJECT, now=0) is CONFIG_MAP
