"""Configuration and manifest: what the conventions say, what the base keeps, and the same bytes every time."""

from pathlib import Path
from typing import Any

import orjson

from towpath.blueprint.model import Service
from towpath.build.image import AddedLayer, Base, BuildRequest, LayerBlob, Start, compose_image
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


MAIN = Start(("python3", "/app/main.py"), "/app")


def added(*contents: bytes) -> list[AddedLayer]:
    return [AddedLayer(blob(content), Digest.of(b"diff of " + content), f"add {content!r}") for content in contents]


def compose(service: Service, base: Base, start: Start = MAIN) -> ImageConfig:
    return parse_image_config(compose_image(request(service), base, added(b"layer"), start).config_raw)


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
    image = compose_image(request(Service("sensor", "services/sensor")), make_base(), added(b"layer"), MAIN)
    document = orjson.loads(image.config_raw)
    manifest = parse_manifest(image.manifest_raw)

    assert document["history"][0] == BASE_CONFIG["history"][0]
    assert len(document["history"]) == 2
    assert document["config"]["Volumes"] == {"/data": {}}
    assert document["author"] == "someone"
    assert document["rootfs"]["diff_ids"] == [str(Digest.of(b"base")), str(Digest.of(b"diff of layer"))]
    assert isinstance(manifest, Manifest)
    assert [layer.digest for layer in manifest.layers] == [Digest.of(b"base layer"), Digest.of(b"layer")]


def test_the_bases_labels_stay_below_ours_and_its_digest_is_recorded() -> None:
    labels = compose(Service("sensor", "services/sensor"), make_base()).labels

    assert labels["vendor"] == "acme"
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.base.digest"] == str(Digest.of(b"manifest"))


def test_import_and_program_paths_are_joined_to_what_is_there() -> None:
    start = Start(("x",), "/app", import_path=("/app", "/opt/dependencies"), program_path=("/opt/dependencies/bin",))
    config = compose(Service("sensor", "services/sensor"), make_base(), start)
    own = compose(Service("sensor", "services/sensor", env={"PYTHONPATH": "/mine"}), make_base(), start)

    assert config.env["PYTHONPATH"] == "/app:/opt/dependencies"
    assert config.env["PATH"] == "/opt/dependencies/bin:/usr/bin"
    assert own.env["PYTHONPATH"] == "/mine:/app:/opt/dependencies"


def test_each_layer_upon_the_base_has_its_line_in_the_history() -> None:
    image = compose_image(request(Service("s", "services/s")), host(), added(b"packages", b"own"), MAIN)
    config = parse_image_config(image.config_raw)

    assert config.diff_ids[1:] == (Digest.of(b"diff of packages"), Digest.of(b"diff of own"))
    assert [line.created_by for line in config.history] == ["add b'packages'", "add b'own'"]
    assert image.size > sum(layer.descriptor.size for layer in image.layers)


def test_without_an_entrypoint_the_base_starts_as_it_always_does() -> None:
    config = compose(Service("site", "services/site"), make_base(), Start((), ""))

    assert (config.entrypoint, config.cmd) == (("/init",), ("serve",))


def test_equal_input_gives_equal_bytes_and_a_manifest_that_names_its_config() -> None:
    service = Service("sensor", "services/sensor", env={"B": "2", "A": "1"})
    one, two = (compose_image(request(service), host(), added(b"l"), MAIN) for _ in range(2))

    assert (one.manifest_raw, one.config_raw) == (two.manifest_raw, two.config_raw)
    manifest = parse_manifest(one.manifest_raw, one.media_type)
    assert isinstance(manifest, Manifest)
    assert manifest.config == one.config_descriptor
    assert one.descriptor.digest == Digest.of(one.manifest_raw)
