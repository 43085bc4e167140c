import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.blueprint.document import BlueprintError
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import Blueprint, Environment, Service
from towpath.errors import NotFoundError

PATHS = [
    "README.md",
    "services/README.md",
    "services/_shared/log.py",
    "services/.cache/x",
    "services/sensor/main.py",
    "services/chaos-controller/chaos_controller/__main__.py",
    "services/web/Dockerfile",
    "k3s/base/kustomization.yaml",
    "k3s/overlays/prod/kustomization.yml",
    "k3s/overlays/dev/kustomization.yaml",
    "k3s/overlays/notes/README.md",
]


def load(text: str | None = None, paths: list[str] | None = None) -> Blueprint:
    return load_blueprint(text, PATHS if paths is None else paths, default_name="my-homelab")


def problems_of(text: str, paths: list[str] | None = None) -> list[str]:
    with pytest.raises(BlueprintError) as caught:
        load(text, paths)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("text", [None, "", "# nothing\n"])
def test_an_absent_or_empty_file_is_a_whole_blueprint(text: str | None) -> None:
    assert load(text) == Blueprint(
        name="my-homelab",
        registry="127.0.0.1:7070/my-homelab",
        services={
            "chaos-controller": Service("chaos-controller", "services/chaos-controller"),
            "sensor": Service("sensor", "services/sensor"),
            "web": Service("web", "services/web"),
        },
        environments={
            "dev": Environment("dev", "k3s/overlays/dev", promotes_from=None),
            "prod": Environment("prod", "k3s/overlays/prod", promotes_from="dev", soak_seconds=60.0),
        },
    )


def test_an_empty_repository_is_valid_and_has_nothing() -> None:
    blueprint = load("", [])
    assert (blueprint.services, blueprint.environments) == ({}, {})


def test_every_key_is_read() -> None:
    blueprint = load("""
name: lab
registry: ghcr.io/someone/lab
branch: trunk
channel: edge
services:
  sensor:
    path: ./services/sensor/
    base: docker.io/library/python:3.12-slim
    entrypoint: [python3, -u, main.py, 1]
    env: {LEVEL: info, RATE: 1.50}
    port: 9000
    user: 1000:10
environments:
  prod: {overlay: k3s/overlays/prod, promotes_from: null, soak: 1h30m}
""")
    assert (blueprint.name, blueprint.registry) == ("lab", "ghcr.io/someone/lab")
    assert (blueprint.branch, blueprint.channel) == ("trunk", "edge")
    assert blueprint.services["sensor"] == Service(
        "sensor",
        "services/sensor",
        base="docker.io/library/python:3.12-slim",
        entrypoint=("python3", "-u", "main.py", "1"),
        env={"LEVEL": "info", "RATE": "1.50"},
        port=9000,
        user="1000:10",
    )
    assert blueprint.environments["prod"] == Environment("prod", "k3s/overlays/prod", None, 5400.0)
    assert blueprint.image("sensor") == "ghcr.io/someone/lab/sensor"


def test_the_registry_follows_the_name() -> None:
    assert load("name: lab").registry == "127.0.0.1:7070/lab"


def test_a_found_service_given_another_name_is_not_found_twice() -> None:
    blueprint = load("services: {thermometer: {path: services/sensor}}")
    assert "sensor" not in blueprint.services
    assert blueprint.services["thermometer"].path == "services/sensor"


def test_false_leaves_out_what_a_convention_finds() -> None:
    blueprint = load("services: {web: false}\nenvironments: {dev: false}")
    assert list(blueprint.services) == ["chaos-controller", "sensor"]
    assert list(blueprint.environments) == ["prod"]
    assert blueprint.environments["prod"].promotes_from is None


def test_the_whole_repository_can_be_one_service() -> None:
    assert load("services: {app: {path: .}}", ["main.py"]).services["app"].path == "."


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["production", "staging"], ["staging", "production"]),
        (["jotunheim"], ["jotunheim"]),
        (["prod-eu", "alpha", "stage", "qa", "test", "dev"], ["dev", "test", "qa", "stage", "alpha", "prod-eu"]),
        (["live", "prod", "b", "a"], ["a", "b", "live", "prod"]),
    ],
)
def test_environments_are_ordered_by_what_their_names_say(names: list[str], order: list[str]) -> None:
    environments = load("", [f"k3s/overlays/{name}/kustomization.yaml" for name in names]).environments
    assert list(environments) == order
    assert [environment.promotes_from for environment in environments.values()] == [None, *order[:-1]]


def test_names_that_say_nothing_keep_the_order_of_the_file() -> None:
    paths = [f"k3s/overlays/{name}/kustomization.yaml" for name in ("asgard", "midgard", "valhalla")]
    assert list(load("environments: {valhalla: {}, asgard: {}}", paths).environments) == [
        "valhalla",
        "asgard",
        "midgard",
    ]


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file() -> None:
    assert problems_of("""nmae: x
name: Not_A_Label
registry: https://ghcr.io/x
branch: -main
channel: sha-1234567
services:
  sensor:
    prot: 80
    port: eighty
    path: services/senosr
    env: {1BAD: x, OK: true}
    user: root
  ghost: {}
  sensor: {}
environments:
  prod:
    soak: 30
    promotes_from: dve
  nowhere:
    overlay: ../outside
  flat: text
""") == [
        "towpath.yaml:1: nmae: unknown key; did you mean name?",
        (
            "towpath.yaml:2: name: got Not_A_Label, expected a DNS label: lower-case letters, digits and hyphens, "
            "at most 63 characters"
        ),
        "towpath.yaml:3: registry: got https://ghcr.io/x, expected host[:port]/path",
        "towpath.yaml:4: branch: got -main, expected a branch's name, such as main",
        "towpath.yaml:5: channel: got sha-1234567, which Towpath uses itself; choose another, such as canary",
        "towpath.yaml:8: services.sensor.prot: unknown key; did you mean port?",
        "towpath.yaml:9: services.sensor.port: got text (eighty), expected a whole number from 1 to 65535",
        "towpath.yaml:10: services.sensor.path: services/senosr does not exist; did you mean sensor?",
        "towpath.yaml:11: services.sensor.env.OK: got true or false, expected text; put it in quotes",
        "towpath.yaml:11: services.sensor.env.1BAD: is not a variable's name: letters, digits and underscores",
        "towpath.yaml:12: services.sensor.user: got root, expected a numeric user, such as 65532:65532",
        "towpath.yaml:13: services.ghost: services/ghost does not exist; known: chaos-controller, sensor, web",
        "towpath.yaml:14: services.sensor: the key is given twice, first on line 7",
        (
            'towpath.yaml:17: environments.prod.soak: got 30, expected a duration with a unit, such as "30s", "5m" or '
            '"1h30m"'
        ),
        "towpath.yaml:18: environments.prod.promotes_from: no environment dve; did you mean dev?",
        (
            "towpath.yaml:20: environments.nowhere.overlay: got ../outside, expected a path inside the repository "
            "without . or ..; known: dev, notes, prod"
        ),
        "towpath.yaml:21: environments.flat: got text, expected a mapping",
        "towpath.yaml:21: environments.flat: k3s/overlays/flat does not exist; known: dev, notes, prod",
    ]


def test_the_error_counts_the_problems() -> None:
    with pytest.raises(BlueprintError, match=r"^the blueprint is not valid \(Invalid\): 1 problem\n  towpath"):
        load("x: y")


def test_a_directory_whose_name_is_no_label_is_reported_where_it_is() -> None:
    assert problems_of("", ["services/My_Thing/main.py"]) == [
        (
            "services/My_Thing: the directory's name is not a DNS label: lower-case letters, digits and hyphens, at "
            "most 63 characters; rename it, name it with services.<name>.path, or leave it out with "
            "services.My_Thing: false"
        )
    ]
    assert load("services: {my-thing: {path: services/My_Thing}}", ["services/My_Thing/main.py"]).services


@pytest.mark.parametrize("base", ["HOST", "docker.io/Library/x", "a b", "x@sha256:12"])
def test_a_base_that_is_no_image_is_reported(base: str) -> None:
    (problem,) = problems_of(f'services: {{web: {{base: "{base}"}}}}')
    assert problem.startswith(f"towpath.yaml:1: services.web.base: got {base}, expected host or an image: ")


def test_a_file_is_no_service() -> None:
    assert problems_of("services: {notes: {path: README.md}}") == [
        (
            "towpath.yaml:1: services.notes.path: README.md is a file, expected a directory; "
            "known: chaos-controller, sensor, web"
        )
    ]


def test_an_overlay_without_a_kustomization_is_reported() -> None:
    assert problems_of("environments: {notes: {overlay: k3s/overlays/notes}}") == [
        "towpath.yaml:1: environments.notes.overlay: k3s/overlays/notes has no kustomization.yaml"
    ]


def test_promotion_in_a_circle_is_reported_for_each_member() -> None:
    problems = problems_of("environments:\n  dev: {promotes_from: prod}\n  prod: {promotes_from: dev}\n")
    assert problems == [
        "towpath.yaml:2: environments.dev.promotes_from: leads back to dev; one environment must be the first",
        "towpath.yaml:3: environments.prod.promotes_from: leads back to prod; one environment must be the first",
    ]


def test_two_services_of_one_directory_are_reported() -> None:
    assert problems_of("services:\n  a: {path: services/web}\n  b: {path: services/web}\n") == [
        "towpath.yaml:3: services.b: has the same path as a: services/web"
    ]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"environment stage is not known .*: the blueprint has dev, prod"):
        load().get_environment("stage")
    with pytest.raises(NotFoundError, match="service x is not known"):
        load().get_service("x")
    assert load().get_service("web").path == "services/web"


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    try:
        load(text)
    except BlueprintError as error:
        assert error.problems  # noqa: PT017 - either a blueprint or a list of problems


@given(
    st.recursive(
        st.sampled_from(["1", "true", "null", "x", "'7'", "30s", "../x", "~", "1:30", ".inf"]),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
            | st.dictionaries(st.sampled_from(["path", "soak", "env", "port", "x", "<<"]), inner, max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["name", "registry", "services", "environments", "branch"]),
)
def test_no_value_under_a_known_key_makes_it_fail_in_another_way(value: str, key: str) -> None:
    try:
        load(f"{key}: {value}\n")
    except BlueprintError as error:
        assert error.problems  # noqa: PT017 - either a blueprint or a list of problems


SITE = ["services/site/public/index.html", "services/site/tool.lock"]


def test_the_kinds_of_services_are_read() -> None:
    services = load(
        """
services:
  site: {static: public, into: /usr/share/nginx/html, base: docker.io/library/nginx:1}
  tool: {binary: "dist/tool-{arch}"}
""",
        [*SITE, "services/tool/dist/tool-amd64"],
    ).services

    assert (services["site"].static, services["site"].into) == ("public", "/usr/share/nginx/html")
    assert (services["tool"].binary, services["tool"].base) == ("dist/tool-{arch}", "scratch")


def test_the_whole_directory_can_be_the_site() -> None:
    assert load("services: {site: {static: .}}", SITE).services["site"].static == "."
    assert load("services: {site: {static: ., path: .}}", ["index.html"]).services["site"].static == "."


def test_packages_can_be_named_or_switched_off() -> None:
    assert load("services: {site: {requirements: tool.lock}}", SITE).services["site"].requirements == "tool.lock"
    assert load("services: {site: {requirements: false}}", SITE).services["site"].requirements is None
    assert load("", SITE).services["site"].requirements == ""


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{static: public, binary: x}", "cannot be given beside static"),
        ("{binary: x, dockerfile: Dockerfile}", "cannot be given beside binary"),
        ("{static: nowhere}", "got nowhere, expected a directory below services/site"),
        ("{static: ../../etc}", "without . or .."),
        ("{binary: /bin/sh}", "expected a path below the service's directory"),
        ("{requirements: none.txt}", "got none.txt, expected a file below services/site"),
        ("{into: /srv}", "says where static files stand; set static as well"),
        ("{static: public, into: srv}", "expected an absolute path"),
        ("{static: public, into: /srv/../etc}", "expected an absolute path"),
    ],
)
def test_a_kind_that_cannot_be_is_a_problem(entry: str, problem: str) -> None:
    assert any(problem in line for line in problems_of(f"services: {{site: {entry}}}", SITE))


def test_the_address_that_images_name_is_one_without_a_user_or_a_query() -> None:
    assert load("source: https://git.example/me/lab").source == "https://git.example/me/lab"
    for wrong in ("git@git.example:me/lab", "https://me:secret@git.example/lab", "https://git.example/lab?token=x"):
        assert any("source: got " in problem for problem in problems_of(f"source: {wrong}"))
