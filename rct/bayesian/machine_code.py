"""Functions that Numba compiles, once on a machine.

Numba tells by the date of a function's file whether its code on the disk is still the file's. So whatever a
compiled function calls, and every constant in it, stands in its own file, or is an argument.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, keep it on the disk, and let other threads run.

    Arithmetic as written, so that equal seeds give equal draws. Where nothing may be written, neither beside
    the file nor in the user's cache, every process compiles anew.
    """
    try:
        made = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        made = njit(nogil=True, error_model="numpy")(function)
    return cast(Function, made)
