"""The examples as modules, and the public data they are run on where these are at hand."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def example() -> Callable[[str], ModuleType]:
    """Load an example by its name, as a user's copy of it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, CHECKOUT / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def public_data() -> Callable[[str], Path]:
    """Give the path of a public data set, or skip where it is not at hand."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("RCT_DATA", CHECKOUT.parent / "shared" / "data")) / name
        if not path.exists():
            pytest.skip(f"public data {name} is not there; RCT_DATA names the folder that holds it")
        return path

    return find
