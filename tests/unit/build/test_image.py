"""Configuration and manifest: what the conventions say, what the base keeps, and the same bytes every time."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from towpath.blueprint.model import Service
from towpath.build.entries import BuildError
from towpath.build.image import Base, BuildRequest, LayerBlob, compose_image, find_entrypoint
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config, parse_image_config
from towpath.oci.manifest import Manifest, parse_manifest
from towpath.oci.platform import Platform

AMD64 = Platform("linux", "amd64")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE_CONFIG: dict[str, Any] = {
    "os": "linux",
    "architecture": "amd64",
    "created": "2020-01-01T00:00:00Z",
    "author": "someone",
    "config": {
        "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
        "Entrypoint": ["/init"],
        "Cmd": ["serve"],
        "Volumes": {"/data": {}},
        "Labels": {"vendor": "acme", "org.opencontainers.image.revision": "old"},
    },
    "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"base"))]},
    "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "ADD rootfs", "author": "someone"}],
}


def blob(content: bytes) -> LayerBlob:
    return LayerBlob(Descriptor(media.OCI_LAYER_GZIP, Digest.of(content), len(content)), Path("/nowhere"))


def make_base() -> Base:
    raw = orjson.dumps(BASE_CONFIG)
    return Base("r.example/base:1", Digest.of(b"manifest"), parse_image_config(raw), raw, (blob(b"base layer"),))


def host() -> Base:
    config = ImageConfig(AMD64, env={"PATH": "/usr/local/bin"}, diff_ids=(Digest.of(b"base"),))
    return Base("host", None, config, format_image_config(config), (blob(b"base layer"),))


def request(service: Service) -> BuildRequest:
    return BuildRequest(
        service=service,
        context=Path("/nowhere"),
        commit=COMMIT,
        tree_id="f" * 40,
        source_url="http://127.0.0.1:7070/git/home.git",
        committed_at=1_700_000_000.9,
        tag="sha-0123456",
        platform=AMD64,
    )


def compose(service: Service, base: Base, entrypoint: tuple[str, ...] = ("python3", "/app/main.py")) -> ImageConfig:
    image = compose_image(request(service), base, blob(b"layer"), Digest.of(b"diff"), entrypoint)
    return parse_image_config(image.config_raw)


def test_the_service_runs_as_nobody_in_app_with_its_port_exposed() -> None:
    config = compose(Service("sensor", "services/sensor", port=9000), host())

    assert (config.user, config.working_dir) == ("65532:65532", "/app")
    assert config.exposed_ports == ("9000/tcp",)
    assert config.entrypoint == ("python3", "/app/main.py")


def test_the_labels_tie_the_image_to_its_commit() -> None:
    labels = compose(Service("sensor", "services/sensor"), host()).labels

    assert labels == {
        "org.opencontainers.image.title": "sensor",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.source": "http://127.0.0.1:7070/git/home.git",
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.version": "sha-0123456",
        "dev.towpath.tree": "f" * 40,
    }


def test_the_services_variables_win_over_the_bases() -> None:
    config = compose(Service("sensor", "services/sensor", env={"LANG": "de", "MODE": "x"}), make_base())

    assert config.env.items() >= {"PATH": "/usr/bin", "LANG": "de", "MODE": "x"}.items()


def test_the_process_is_told_its_version_and_commit() -> None:
    told = compose(Service("sensor", "services/sensor"), host()).env
    own = compose(Service("sensor", "services/sensor", env={"TOWPATH_VERSION": "mine"}), host()).env

    assert (told["TOWPATH_VERSION"], told["TOWPATH_COMMIT"]) == ("sha-0123456", COMMIT)
    assert own["TOWPATH_VERSION"] == "mine"


def test_the_bases_command_does_not_become_arguments_of_ours() -> None:
    config = compose(Service("sensor", "services/sensor"), make_base())

    assert config.cmd == ()
    assert config.entrypoint == ("python3", "/app/main.py")


def test_the_bases_layers_history_and_unknown_fields_stay_untouched() -> None:
    image = compose_image(
        request(Service("sensor", "services/sensor")), make_base(), blob(b"layer"), Digest.of(b"diff"), ("x",)
    )
    document = orjson.loads(image.config_raw)
    manifest = parse_manifest(image.manifest_raw)

    assert document["history"][0] == BASE_CONFIG["history"][0]
    assert len(document["history"]) == 2
    assert document["config"]["Volumes"] == {"/data": {}}
    assert document["author"] == "someone"
    assert document["rootfs"]["diff_ids"] == [str(Digest.of(b"base")), str(Digest.of(b"diff"))]
    assert isinstance(manifest, Manifest)
    assert [layer.digest for layer in manifest.layers] == [Digest.of(b"base layer"), Digest.of(b"layer")]


def test_the_bases_labels_stay_below_ours_and_its_digest_is_recorded() -> None:
    labels = compose(Service("sensor", "services/sensor"), make_base()).labels

    assert labels["vendor"] == "acme"
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.base.digest"] == str(Digest.of(b"manifest"))


def test_a_package_is_found_wherever_a_pod_works() -> None:
    config = compose(Service("sensor", "services/sensor"), host(), ("python3", "-m", "sensor"))

    assert config.env["PYTHONPATH"] == "/app"


def test_equal_input_gives_equal_bytes_and_a_manifest_that_names_its_config() -> None:
    service = Service("sensor", "services/sensor", env={"B": "2", "A": "1"})
    one, two = (compose_image(request(service), host(), blob(b"l"), Digest.of(b"d"), ("x",)) for _ in range(2))

    assert (one.manifest_raw, one.config_raw) == (two.manifest_raw, two.config_raw)
    manifest = parse_manifest(one.manifest_raw, one.media_type)
    assert isinstance(manifest, Manifest)
    assert manifest.config == one.config_descriptor
    assert one.descriptor.digest == Digest.of(one.manifest_raw)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"main.py", "sensor/__main__.py"}, ("python3", "/app/main.py")),
        ({"sensor/__main__.py", "sensor/__init__.py"}, ("python3", "-m", "sensor")),
        ({"other/__main__.py"}, ("python3", "-m", "other")),
        ({"__main__.py"}, ("python3", "/app")),
        ({"a/__main__.py", "my_sensor/__main__.py"}, ("python3", "-m", "my_sensor")),
        ({"Dockerfile", "main.py"}, ("python3", "/app/main.py")),
    ],
)
def test_conventions_find_the_entrypoint(names: set[str], expected: tuple[str, ...]) -> None:
    assert find_entrypoint(Service("my-sensor", "services/my-sensor"), frozenset(names)) == expected


def test_the_blueprints_entrypoint_wins() -> None:
    service = Service("sensor", "services/sensor", entrypoint=("python3", "/app/serve.py"))

    assert find_entrypoint(service, frozenset({"main.py"})) == ("python3", "/app/serve.py")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"Dockerfile", "app.go"}, "EngineMissing"),
        ({"Containerfile"}, "EngineMissing"),
        ({"README.md"}, "EntrypointMissing"),
        ({"sub/dir/__main__.py"}, "EntrypointMissing"),
        ({"a/__main__.py", "b/__main__.py"}, "EntrypointAmbiguous"),
    ],
)
def test_without_an_entrypoint_the_error_names_the_next_step(names: set[str], reason: str) -> None:
    with pytest.raises(BuildError, match=reason) as caught:
        find_entrypoint(Service("sensor", "services/sensor"), frozenset(names))

    assert "services.sensor.entrypoint" in caught.value.hint
