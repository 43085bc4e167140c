"""Refuses modules over 400 lines, functions over 80 lines or 7 parameters, and modules without a head.

The numbers are the house's (CONTRIBUTING.md). Templates are the user's code and are left out.
"""

import ast
import sys
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 80
PARAMETERS = 7
SOURCE = Path(__file__).parent.parent / "src" / "towpath"


def check_function(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The breaches of one function."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = len([argument for argument in arguments if argument.arg not in {"self", "cls"}])
    where = f"{path}:{node.lineno} {node.name}"
    breaches = []
    if lines > FUNCTION_LINES:
        breaches.append(f"{where}: {lines} lines, at most {FUNCTION_LINES}")
    if count > PARAMETERS and node.name != "__init__":
        breaches.append(f"{where}: {count} parameters, at most {PARAMETERS}")
    return breaches


def check_module(path: Path) -> list[str]:
    """The breaches of one module."""
    text = path.read_text()
    tree = ast.parse(text)
    shown = path.relative_to(SOURCE.parent.parent)
    breaches = []
    if len(text.splitlines()) > MODULE_LINES:
        breaches.append(f"{shown}: {len(text.splitlines())} lines, at most {MODULE_LINES}")
    if text.strip() and not ast.get_docstring(tree):
        breaches.append(f"{shown}: no module head")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            breaches += check_function(shown, node)
    return breaches


def main() -> int:
    """Print every breach; 1 if there is one."""
    modules = [path for path in sorted(SOURCE.rglob("*.py")) if "templates" not in path.parts]
    breaches = [breach for path in modules for breach in check_module(path)]
    print("\n".join(breaches) or f"size gate: {len(modules)} modules within bounds")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
