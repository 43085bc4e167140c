"""The generated schema: what is in it, and how it is read."""

import gzip
from importlib.resources import files

import pytest

from towpath.errors import IntegrityError
from towpath.kube.objects import GVK
from towpath.kube.resources import RESOURCES
from towpath.kube.schema import Schema


def test_every_served_kind_and_its_list_have_a_type(schema: Schema) -> None:
    for resource in RESOURCES:
        group, version, kind = resource.gvk
        assert schema.find_type(resource.gvk) is not None, kind
        assert schema.find_type(GVK(group, version, f"{kind}List")) is not None, kind


def test_kinds_that_are_not_served_have_no_type(schema: Schema) -> None:
    assert schema.find_type(GVK("apps", "v1", "DaemonSet")) is None
    assert schema.find_name(GVK("", "v1", "PersistentVolume")) is None


def test_scale_and_status_are_there_for_subresources_and_errors(schema: Schema) -> None:
    assert schema.find_name(GVK("autoscaling", "v1", "Scale")) == "io.k8s.api.autoscaling.v1.Scale"
    assert schema.find_name(GVK("", "v1", "Status")) is not None


def test_every_reference_leads_to_a_definition(schema: Schema) -> None:
    assert set(schema.closure(schema.definitions)) == set(schema.definitions)


def test_a_closure_holds_what_a_kind_refers_to_and_no_more(schema: Schema) -> None:
    found = schema.closure(["io.k8s.api.core.v1.ConfigMap"])
    assert "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in found
    assert "io.k8s.api.core.v1.PodSpec" not in found
    assert list(found) == sorted(found)


def test_descriptions_are_apart_and_complete(schema: Schema) -> None:
    texts = schema.descriptions()
    assert set(texts) == set(schema.definitions)
    assert texts["io.k8s.api.core.v1.Container"]["image"].startswith("Container image name.")
    assert "description" not in schema.definitions["io.k8s.api.core.v1.Container"]


def test_the_version_of_kubernetes_is_known(schema: Schema) -> None:
    assert schema.version.split(".")[0] == "1"


def test_the_data_file_stays_small() -> None:
    assert len(files("towpath.kube").joinpath("schema.json.gz").read_bytes()) < 300_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"junk", id="not-gzip"),
        pytest.param(gzip.compress(b"junk"), id="not-json"),
        pytest.param(gzip.compress(b"[]"), id="a-list"),
        pytest.param(gzip.compress(b"{}"), id="no-definitions"),
    ],
)
def test_data_that_is_no_schema_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="BadSchema"):
        Schema.load(data)


def test_a_name_that_is_not_there_is_an_integrity_error(schema: Schema) -> None:
    with pytest.raises(IntegrityError, match="no definition"):
        schema.get_type("io.k8s.api.core.v1.Nothing")


def test_a_schema_without_descriptions_has_none() -> None:
    assert Schema({}).descriptions() == {}
