"""Folders import from folders below them, and no file imports itself by a detour."""

import ast
import functools
import graphlib
import sys

import pytest

from components.common.revision import WORKING_TREE

# From the bottom up; a folder imports from layers below its own.
LAYERS = (
    ("dualgan",),
    ("common",),
    ("tracking",),
    ("dataset", "train"),
    ("sample", "replay"),
    ("compare",),
    ("publish",),
    ("preflight",),
    ("pipelines", "images"),
    ("parity",),
)
LEVELS = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}


@functools.cache
def sources() -> dict[str, str]:
    """Return the source of each product file by its module's name."""
    found = {}
    for top in ("components", "pipelines", "parity", "images"):
        for path in (WORKING_TREE / top).rglob("*.py"):
            parts = path.relative_to(WORKING_TREE).with_suffix("").parts
            if parts[:2] == ("components", "dualgan"):
                parts = parts[1:]
            found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """Return the modules that each module imports, inside functions and for types as well."""
    graph: dict[str, set[str]] = {}
    for module, source in sources().items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    names.add(whole if whole in sources() else str(node.module))
        graph[module] = {name for name in names if name in sources() and name != module}
    return graph


def folder_of(module: str) -> str:
    """Return the folder whose layer holds for a module; `python -m FOLDER` is a way into the command line."""
    top, *rest = module.split(".")
    if top == "dualgan":
        return top
    if rest and rest[-1] == "__main__":
        return "parity"
    return rest[0] if top == "components" and rest else top


def test_every_folder_has_a_layer() -> None:
    assert {folder_of(module) for module in sources()} == set(LEVELS)


@pytest.mark.parametrize("folder", LEVELS)
def test_a_folder_imports_from_folders_below_it(folder: str) -> None:
    upward = [
        f"{module} imports {name}"
        for module, names in imports().items()
        for name in names
        if folder_of(module) == folder != folder_of(name) and LEVELS[folder_of(name)] >= LEVELS[folder]
    ]
    assert not upward


def test_no_file_imports_itself_by_a_detour() -> None:
    try:
        list(graphlib.TopologicalSorter(imports()).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_trainer_imports_nothing_but_tensorflow_numpy_pillow_and_the_standard_library() -> None:
    allowed = {
        *sys.stdlib_module_names,
        "dualgan",
        "tensorflow",
        "numpy",
        "PIL",
        "npu_bridge",
        "npu_device",
        "__future__",
    }
    foreign = {
        f"{module} imports {name}"
        for module, source in sources().items()
        if folder_of(module) == "dualgan"
        for node in ast.walk(ast.parse(source))
        for name in _names(node)
        if name.split(".")[0] not in allowed
    }
    assert not foreign


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else []
