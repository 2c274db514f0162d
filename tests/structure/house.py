"""What the tests of the structure read: files, imports, parts."""

import ast
import pathlib

from tests.conftest import ROOT

PACKAGE = "dmg_tf"
# A part imports itself and what stands on lower floors.
FLOORS = (
    {"errors"},
    {"rules", "console", "html", "layers"},
    {"registry", "settings", "files"},
    {"folders"},
    {"data", "backbones"},
    {"methods", "devices"},
    {"config"},
    {"runs", "flags"},
    {"evaluation"},
    {"training", "export", "report"},
    {"experiment", "predict"},
    {"studies", "demo"},
    {"commands"},
)
# The first reaches the second by no way, through other parts neither.
APART = (
    ("methods", "data"),
    ("backbones", "data"),
    ("data", "backbones"),
    ("data", "methods"),
    ("evaluation", "methods"),
    ("html", "report"),
)
# Where all meet: not a way from one part to another.
JOINS = {"config", "experiment"}


def module_of(path: pathlib.Path, root: pathlib.Path) -> str:
    """Returns the dotted name of a file of the package."""
    parts = list(path.relative_to(root.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: pathlib.Path = ROOT / PACKAGE) -> dict[str, pathlib.Path]:
    """Returns {module: file} of the package."""
    return {module_of(p, root): p for p in sorted(root.rglob("*.py"))}


def imports_of(path: pathlib.Path, known) -> set[str]:
    """Returns the modules of the package that a file imports, anywhere in it.

    A name that is imported from a folder counts as the folder's own file.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return {name for name in found if name in known}


def arrows(root: pathlib.Path = ROOT / PACKAGE) -> dict[str, set[str]]:
    """Returns {module: modules that it imports} of the package."""
    known = modules(root)
    return {
        module: imports_of(path, known) - {module}
        for module, path in known.items()
    }


def part_of(module: str) -> str:
    """Returns the part a module is in; programs count as commands."""
    words = module.split(".")
    if words[-1] == "__main__":
        return "commands"
    return words[1] if len(words) > 1 else PACKAGE


def floor_of(part: str) -> int:
    """Returns the floor of a part, counted from below."""
    return next(i for i, floor in enumerate(FLOORS) if part in floor)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Returns the groups of modules that import each other in a circle."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found
