import orjson
import pytest

from towpath.oci.digest import Digest
from towpath.oci.image import History, ImageConfig, InvalidImageConfigError, format_image_config, parse_image_config
from towpath.oci.platform import Platform

IMAGE = ImageConfig(
    platform=Platform("linux", "arm64", "v8"),
    env={"PATH": "/bin", "EQUALS": "a=b"},
    entrypoint=("/bin/app",),
    cmd=("--serve",),
    user="1000:1000",
    working_dir="/srv",
    labels={"org.opencontainers.image.version": "sha-0123456"},
    diff_ids=(Digest.of(b"layer"),),
    history=(History("1970-01-01T00:00:00Z", "towpath", "", False), History(empty_layer=True)),
    created="1970-01-01T00:00:00Z",
    exposed_ports=("8080/tcp",),
    stop_signal="SIGTERM",
)


@pytest.mark.parametrize("image", [IMAGE, ImageConfig(Platform("linux", "amd64"))])
def test_bytes_and_value_are_inverses(image: ImageConfig) -> None:
    assert parse_image_config(format_image_config(image)) == image
    assert format_image_config(parse_image_config(format_image_config(image))) == format_image_config(image)


def test_docker_configurations_with_nulls_are_read() -> None:
    raw = (
        b'{"os":"linux","architecture":"amd64","config":{"Cmd":["sh"],"Entrypoint":null,"Labels":null},"history":null}'
    )
    assert parse_image_config(raw).cmd == ("sh",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"os": None}, "os: is missing"),
        ({"config": []}, "config: expected an object, got a list"),
        ({"config": {"Env": "PATH=/"}}, "config.Env: expected a list, got a text"),
        ({"config": {"Env": [1]}}, r"config.Env\[0\]: expected a text"),
        ({"rootfs": {"diff_ids": ["md5:0"]}}, r"rootfs.diff_ids\[0\]: algorithm 'md5'"),
        ({"history": ["x"]}, r"history\[0\]: expected an object"),
        ({"history": [{"empty_layer": "yes"}]}, r"history\[0\].empty_layer: expected true or false"),
    ],
)
def test_a_malformed_configuration_is_refused_with_its_path(change: dict[str, object], problem: str) -> None:
    document = orjson.loads(format_image_config(IMAGE)) | change
    with pytest.raises(InvalidImageConfigError, match=problem):
        parse_image_config(orjson.dumps(document))


@pytest.mark.parametrize("raw", [b"", b"\x1f\x8b", b"[]"])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidImageConfigError):
        parse_image_config(raw)
