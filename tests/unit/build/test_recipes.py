"""What a service is made of and how it starts, from names alone."""

from dataclasses import replace

import pytest

from towpath.blueprint.model import Service
from towpath.build.entries import BuildError
from towpath.build.recipes import Recipe, RecipeKind, check_base, choose_recipe

SENSOR = Service("my-sensor", "services/my-sensor")
PROJECT = """
[project]
name = "my-sensor"
scripts = {my-sensor = "sensor.cli:main", other = "sensor.other:App.run"}
"""


def choose(service: Service, *names: str, project: str = "") -> Recipe:
    return choose_recipe(service, frozenset(names), project)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"main.py", "sensor/__main__.py"}, ("python3", "/app/main.py")),
        ({"sensor/__main__.py", "sensor/__init__.py"}, ("python3", "-m", "sensor")),
        ({"other/__main__.py"}, ("python3", "-m", "other")),
        ({"src/other/__main__.py"}, ("python3", "-m", "other")),
        ({"__main__.py"}, ("python3", "/app")),
        ({"a/__main__.py", "my_sensor/__main__.py"}, ("python3", "-m", "my_sensor")),
        ({"Dockerfile", "main.py"}, ("python3", "/app/main.py")),
        ({"index.html", "main.py"}, ("python3", "/app/main.py")),
    ],
)
def test_conventions_find_the_entrypoint(names: set[str], expected: tuple[str, ...]) -> None:
    recipe = choose(SENSOR, *names)

    assert (recipe.kind, recipe.entrypoint) == (RecipeKind.PYTHON, expected)


def test_the_blueprints_entrypoint_wins() -> None:
    service = replace(SENSOR, entrypoint=("python3", "/app/serve.py"))

    assert choose(service, "main.py").entrypoint == ("python3", "/app/serve.py")


def test_what_is_started_by_its_name_is_found_wherever_a_pod_works() -> None:
    assert choose(SENSOR, "sensor/__main__.py").import_path == ("/app",)
    assert choose(SENSOR, "main.py").import_path == ()
    assert choose(SENSOR, "src/sensor/__main__.py").import_path == ("/app", "/app/src")


def test_a_script_of_the_project_is_called_without_a_file_for_it() -> None:
    by_convention = choose(SENSOR, "sensor/cli.py", "pyproject.toml", project=PROJECT)
    named = choose(replace(SENSOR, entrypoint=("other", "--fast")), "sensor/other.py", project=PROJECT)

    call = "import sys; from sensor.cli import main; sys.exit(main())"
    assert by_convention.entrypoint == ("python3", "-c", call)
    assert by_convention.import_path == ("/app",)
    other = "import sys; from sensor.other import App; sys.exit(App.run())"
    assert named.entrypoint == ("python3", "-c", other, "--fast")


def test_a_script_that_is_no_name_of_python_is_never_put_into_code() -> None:
    hostile = '[project]\nname = "x"\nscripts = {my-sensor = "os:system(1);x"}'

    with pytest.raises(BuildError, match="EntrypointMissing"):
        choose(SENSOR, "sensor.py", project=hostile)


def test_a_project_that_is_no_toml_is_told() -> None:
    with pytest.raises(BuildError, match=r"ProjectInvalid.*services/my-sensor/pyproject.toml"):
        choose(SENSOR, "sensor.py", project="[project")


def test_the_blueprint_says_the_kind() -> None:
    static = choose(replace(SENSOR, static="public", into="/srv"), "public/x", "main.py")
    binary = choose(replace(SENSOR, binary="bin/tool"), "bin/tool", "main.py")

    assert (static.kind, static.root, static.into) == (RecipeKind.STATIC, "public", "/srv")
    assert binary.kind is RecipeKind.BINARY


def test_an_index_page_makes_a_static_site_and_a_dockerfile_comes_last() -> None:
    assert choose(SENSOR, "index.html", "Dockerfile").kind is RecipeKind.STATIC
    assert choose(SENSOR, "Dockerfile", "app.go") == Recipe(RecipeKind.DOCKERFILE, dockerfile="Dockerfile")
    assert choose(SENSOR, "Containerfile").dockerfile == "Containerfile"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"README.md"}, "EntrypointMissing"),
        ({"sub/dir/__main__.py"}, "EntrypointMissing"),
        ({"a/__main__.py", "b/__main__.py"}, "EntrypointAmbiguous"),
    ],
)
def test_without_an_entrypoint_the_error_names_the_next_step(names: set[str], reason: str) -> None:
    with pytest.raises(BuildError, match=reason) as caught:
        choose(SENSOR, *names)

    assert "services.my-sensor.entrypoint" in caught.value.hint


@pytest.mark.parametrize(
    ("service", "names", "reason"),
    [(SENSOR, "main.py", "NoInterpreter"), (replace(SENSOR, static="."), "x.html", "NoServer")],
)
def test_nothing_cannot_be_the_base_of_what_needs_something(service: Service, names: str, reason: str) -> None:
    service = replace(service, base="scratch")
    with pytest.raises(BuildError, match=reason) as caught:
        check_base(service, choose(service, names))

    assert "services.my-sensor.base" in caught.value.hint


def test_scratch_can_be_the_base_of_a_program_and_of_files_with_an_entrypoint() -> None:
    bare = replace(SENSOR, base="scratch")
    for service in (replace(bare, binary="tool"), replace(bare, static=".", entrypoint=("/app/server",))):
        check_base(service, choose(service, "tool"))
