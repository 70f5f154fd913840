"""PyMC, imported without its advice to install a compiler: nutpie compiles with Numba and needs none."""

import os
import shutil
import sys
from typing import Any

from rct.quiet_arviz import environment, import_arviz


def import_pymc() -> Any:
    """Import PyMC; where no C++ compiler is found, PyTensor is told so instead of warning about it.

    The environment is as before afterwards, and a PyTensor that was imported already is left alone.
    """
    import_arviz()
    if "pytensor" not in sys.modules and not (shutil.which("g++") or shutil.which("clang++")):
        flags = os.environ.get("PYTENSOR_FLAGS")
        with environment("PYTENSOR_FLAGS", f"{flags},cxx=" if flags else "cxx="):
            import pytensor  # noqa: F401
    import pymc

    return pymc
