"""What the folders promise: imports go downward, names do not shadow, the face stays light."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import rct

CHECKOUT = Path(__file__).parent.parent
PACKAGE = CHECKOUT / "rct"
PACKAGES = sorted(
    ".".join(path.parent.relative_to(CHECKOUT).parts)
    for path in PACKAGE.rglob("__init__.py")
    if not any(part.startswith("_") for part in path.parent.relative_to(CHECKOUT).parts)
)
HEAVY = {"arviz", "duckdb", "jinja2", "matplotlib", "nutpie", "pandas", "pyarrow", "pymc", "rich", "scipy"}


def public_functions(package: ModuleType) -> dict[str, Callable[..., object]]:
    names = [name for name in dir(package) if not name.startswith("_")]
    found = {name: getattr(package, name) for name in names}
    return {name: function for name, function in found.items() if inspect.isfunction(function)}


def test_imports_go_downward() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_folder_of_modules_is_a_package_that_the_import_contract_sees() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_function_bears_the_name_of_a_module_beside_it(name: str) -> None:
    package = importlib.import_module(name)
    beside = {path.stem for path in Path(str(package.__file__)).parent.iterdir()}
    assert set(public_functions(package)) & beside == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_take_keywords_after_their_first_two_arguments(package: str) -> None:
    for name, function in public_functions(importlib.import_module(package)).items():
        parameters = list(inspect.signature(function).parameters.values())
        kinds = {parameter.kind for parameter in parameters}
        assert kinds.isdisjoint({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}), name
        assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters[2:]), name


def test_the_face_gives_every_name_it_lists() -> None:
    assert [name for name in rct.__all__ if getattr(rct, name, None) is None] == []
    assert set(rct.__all__) <= set(dir(rct))


def test_the_face_says_which_name_it_does_not_know() -> None:
    with pytest.raises(AttributeError, match="'estimator'"):
        rct.estimator  # noqa: B018


def test_importing_rct_imports_no_heavy_library() -> None:
    program = "import rct, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert HEAVY.intersection(loaded) == set()


def test_the_citation_names_this_version() -> None:
    citation = (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {rct.__version__}\n" in citation


def imported_from_elsewhere(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"rct"}


def test_the_declared_dependencies_are_those_that_the_code_imports() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]}
    imported = set().union(*map(imported_from_elsewhere, PACKAGE.rglob("*.py")))
    assert declared == imported | {
        "nutpie",
        "zarr",
    }  # PyMC samples with the one by name, and xarray writes with the other


def test_the_architecture_page_lists_every_module() -> None:
    page = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    modules = {path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert sorted(name for name in modules if f"`{name}`" not in page) == []
    listed = {word for word in page.split("`")[1::2] if word.endswith(".py") and "/" not in word}
    assert listed - modules == set()


def test_every_room_is_on_the_architecture_page() -> None:
    page = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(room for room in rooms if f"`{room}/`" not in page) == []
