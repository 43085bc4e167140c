"""What a service is made of and how it starts, decided from the blueprint and the names of its files. Pure.

    1. `dockerfile`, `static` or `binary` in the blueprint say it.
    2. `entrypoint`, `main.py`, a package with `__main__.py`, or a script of `pyproject.toml`: a Python service.
    3. `index.html`: a static site.
    4. A Dockerfile, when nothing else applies.

The rest of the builder asks the recipe and never the blueprint's kind keys.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from towpath.blueprint.model import DEFAULT_BASE, DEFAULT_INTO, SCRATCH_BASE, Service
from towpath.build.entries import BuildError

APP_DIRECTORY = DEFAULT_INTO
PROJECT_FILE = "pyproject.toml"
_DOCKERFILES = ("Dockerfile", "Containerfile")


class RecipeKind(StrEnum):
    """The kinds of services."""

    PYTHON = "python"
    STATIC = "static"
    BINARY = "binary"
    DOCKERFILE = "dockerfile"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a service becomes an image.

    Attributes:
        kind: what it is made of.
        entrypoint: how it starts; empty where the base, or the server of static files, decides.
        root: the directory whose files go into the image, relative to the service's; `.` for all of it.
        into: where they stand there.
        import_path: directories in the image that Python is to import from.
        dockerfile: relative to the service's directory.
    """

    kind: RecipeKind
    entrypoint: tuple[str, ...] = ()
    root: str = "."
    into: str = APP_DIRECTORY
    import_path: tuple[str, ...] = ()
    dockerfile: str = ""


def choose_recipe(service: Service, names: frozenset[str], project: str = "") -> Recipe:
    """Decide how a service is built.

    Args:
        service: from the blueprint.
        names: the paths of the files in its directory.
        project: the text of its `pyproject.toml`, if it has one.

    Raises:
        BuildError: nothing says how it starts.
    """
    if service.dockerfile:
        return Recipe(RecipeKind.DOCKERFILE, dockerfile=service.dockerfile)
    if service.static:
        return Recipe(RecipeKind.STATIC, service.entrypoint, root=service.static, into=service.into)
    if service.binary:
        return Recipe(RecipeKind.BINARY, service.entrypoint)
    scripts = _scripts(service, project)
    entrypoint = _python_entrypoint(service, names, scripts)
    if entrypoint:
        return Recipe(RecipeKind.PYTHON, entrypoint, import_path=_import_path(entrypoint, names))
    if "index.html" in names:
        return Recipe(RecipeKind.STATIC, into=service.into)
    found = next((name for name in _DOCKERFILES if name in names), "")
    if found:
        return Recipe(RecipeKind.DOCKERFILE, dockerfile=found)
    raise BuildError(
        f"service {service.name} has no entrypoint (EntrypointMissing): {service.path} has no main.py, no package with "
        "__main__.py, no index.html and no Dockerfile",
        hint=f"add a main.py, or set services.{service.name}.entrypoint, static or binary in towpath.yaml",
    )


def check_base(service: Service, recipe: Recipe) -> None:
    """Refuse a base that cannot run such a service. Raises BuildError."""
    if service.base != SCRATCH_BASE:
        return
    if recipe.kind is RecipeKind.PYTHON:
        raise BuildError(
            f"service {service.name} cannot run on base scratch (NoInterpreter): it starts {recipe.entrypoint[0]}",
            hint=f"set services.{service.name}.base to {DEFAULT_BASE}, or to an image that has it",
        )
    if recipe.kind is RecipeKind.STATIC and not recipe.entrypoint:
        raise BuildError(
            f"service {service.name} cannot serve on base scratch (NoServer): there is nothing but its files",
            hint=f"set services.{service.name}.base to {DEFAULT_BASE}, which brings a server, or to a web server",
        )


def _python_entrypoint(service: Service, names: frozenset[str], scripts: Mapping[str, str]) -> tuple[str, ...]:
    """How a Python service starts; empty when nothing says that it is one."""
    if service.entrypoint:
        own = scripts.get(service.entrypoint[0])
        return (*_call(own), *service.entrypoint[1:]) if own else service.entrypoint
    if "main.py" in names:
        return ("python3", f"{APP_DIRECTORY}/main.py")
    packages = _runnable_packages(names)
    own_package = service.name.replace("-", "_")
    if own_package in packages or len(packages) == 1:
        return ("python3", "-m", own_package if own_package in packages else packages[0])
    if "__main__.py" in names:
        return ("python3", APP_DIRECTORY)
    script = scripts.get(service.name) or (next(iter(scripts.values())) if len(scripts) == 1 else "")
    if script:
        return _call(script)
    choices = packages or sorted(scripts)
    if choices:
        example = f"[python3, -m, {packages[0]}]" if packages else f"[{choices[0]}]"
        raise BuildError(
            f"service {service.name} has no entrypoint (EntrypointAmbiguous): {', '.join(choices)} can all be run",
            hint=f"set services.{service.name}.entrypoint in towpath.yaml, as in {example}",
        )
    return ()


def _runnable_packages(names: frozenset[str]) -> list[str]:
    """Packages with `__main__.py`, at the top or below `src`."""
    mains = (name.removeprefix("src/").removesuffix("/__main__.py") for name in names if name.endswith("/__main__.py"))
    return sorted({package for package in mains if "/" not in package and package.isidentifier()})


def _scripts(service: Service, project: str) -> dict[str, str]:
    """The console scripts that `pyproject.toml` declares: name -> `module:function`."""
    if not project:
        return {}
    try:
        declared: Any = tomllib.loads(project).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise BuildError(
            f"service {service.name} cannot be built (ProjectInvalid): {service.path}/{PROJECT_FILE}: {error}"
        ) from error
    scripts = declared.get("scripts", {}) if isinstance(declared, dict) else {}
    if not isinstance(scripts, dict):
        return {}
    return {
        name: target
        for name, target in scripts.items()
        if isinstance(target, str) and all(part.isidentifier() for part in target.replace(":", ".").split("."))
    }


def _call(target: str) -> tuple[str, ...]:
    """What a console script does, without a file for it: `sensor.cli:main`."""
    module, _, function = target.partition(":")
    name = function.partition(".")[0] or "main"
    return ("python3", "-c", f"import sys; from {module} import {name}; sys.exit({function or name}())")


def _import_path(entrypoint: tuple[str, ...], names: frozenset[str]) -> tuple[str, ...]:
    """A pod may set another working directory; what is started by its name must be found all the same."""
    source = [f"{APP_DIRECTORY}/src"] if any(name.startswith("src/") and name.endswith(".py") for name in names) else []
    by_name = "-m" in entrypoint or "-c" in entrypoint
    return (APP_DIRECTORY, *source) if by_name or source else ()
