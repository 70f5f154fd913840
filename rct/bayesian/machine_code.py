"""Functions that Numba compiles, once on a machine, and the memory that they read.

Numba tells by the date of a function's file whether its code on the disk is still the file's. So whatever a
compiled function calls, and every constant in it, stands in its own file, or is an argument.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numba import cfunc, njit, typeof, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function for other compiled ones, when the first is compiled that calls it.

    Arithmetic as written, so that equal seeds give equal draws. Python cannot call it: the way in from there
    takes as long to compile as the function.
    """
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    try:
        made = njit(cache=True, error_model="numpy", **wrappers)(function)
    except RuntimeError:  # nothing may be written, neither beside the file nor in the user's cache
        made = njit(error_model="numpy", **wrappers)(function)
    return cast(Function, made)


def c_function(signature: Any, function: Callable[..., object]) -> Any:
    """Compile a function that machine code calls by its address, and Python through ``ctypes``."""
    try:
        return cfunc(signature, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return cfunc(signature, error_model="numpy")(function)


def array(number: Any, dimensions: int) -> Any:
    """Give Numba's type of an array."""
    return types.Array(number, dimensions, "C")


def words(parts: Any) -> Iterator[int]:
    """Lay nested tuples of arrays and numbers out in words of eight bytes, as Numba does.

    Of an array: two owners, of which it has none here, numbers, bytes of each, address, shape and strides.
    """
    if isinstance(parts, tuple):
        for part in parts:
            yield from words(part)
    elif isinstance(parts, np.ndarray):
        yield from (0, 0, parts.size, parts.itemsize, parts.ctypes.data, *parts.shape, *parts.strides)
    else:
        yield int(np.float64(parts).view(np.int64)) if isinstance(parts, float) else int(parts)


class Memory:
    """Nested tuples of arrays and numbers as :func:`loaded` reads them, and Numba's type of them.

    Raises
    ------
    TypeError
        Where they are of another type, which would be read as what it is not.
    """

    def __init__(self, parts: tuple[Any, ...], kind: Any) -> None:
        if typeof(parts) != kind:
            raise TypeError(f"{typeof(parts)} cannot be read as {kind}")
        self._parts = parts  # the arrays live as long as their addresses
        self._words: NDArray[np.int64] = np.array(list(words(parts)), np.int64)

    @property
    def address(self) -> int:
        """Where they begin."""
        return int(self._words.ctypes.data)


@intrinsic
def loaded(_typing_context: Any, pointer: Any, wanted: Any) -> Any:
    """Give what stands at a pointer, in compiled code: nested tuples of the wanted type."""
    kind = wanted.instance_type

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.bitcast(arguments[0], context.get_value_type(kind).as_pointer()))

    return kind(pointer, wanted), code
