"""PyMC, imported without its advice to install a compiler: nutpie compiles with Numba and needs none."""

import os
import shutil
import sys
from typing import Any

from rct.quiet_arviz import import_arviz


def import_pymc() -> Any:
    """Import PyMC; where no C++ compiler is found, PyTensor is told so instead of warning about it.

    The environment is as before afterwards, and a PyTensor that was imported already is left alone.
    """
    import_arviz()
    if "pytensor" not in sys.modules and not (shutil.which("g++") or shutil.which("clang++")):
        _import_without_compiler()
    import pymc

    return pymc


def _import_without_compiler() -> None:
    flags = os.environ.get("PYTENSOR_FLAGS")
    os.environ["PYTENSOR_FLAGS"] = f"{flags},cxx=" if flags else "cxx="
    try:
        import pytensor  # noqa: F401
    finally:
        if flags is None:
            del os.environ["PYTENSOR_FLAGS"]
        else:
            os.environ["PYTENSOR_FLAGS"] = flags
