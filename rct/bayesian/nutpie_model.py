"""A density as nutpie samples it: by the addresses of machine code.

Nutpie has this way in for what it compiles itself from PyMC; its public one for other densities calls Python
for every evaluation, which takes more time than most evaluations.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nutpie import _lib
from nutpie.sample import CompiledModel

from rct.bayesian.machine_code import Memory

# A C function, and what it reads.
Function = tuple[Any, Memory]
Shape = tuple[int, ...]
Start = Callable[[Any], NDArray[np.float64]]


class NutpieModel(CompiledModel):  # type: ignore[misc]
    """What nutpie asks of a model.

    Parameters
    ----------
    size
        Number of free numbers.
    shapes
        Shape of each variable, in the order in which `select` sets them.
    evaluate, select
        C functions (:mod:`rct.bayesian.density_evaluation`), each with the memory that it reads.
    start
        Gives the point at which a chain starts, from a seed.
    """

    def __init__(
        self, size: int, shapes: Mapping[str, Shape], evaluate: Function, select: Function, start: Start
    ) -> None:
        super().__init__(dims={})
        self._size, self._shapes, self._start = size, dict(shapes), start
        self._evaluate, self._select = evaluate, select

    @property
    def n_dim(self) -> int:
        """Number of free numbers."""
        return self._size

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of each variable."""
        return self._shapes

    @property
    def coords(self) -> dict[str, Any]:
        """None: dimensions are named afterwards."""
        return {}

    def _make_sampler(self, settings: Any, init_mean: Any, cores: Any, progress: Any, *rest: Any) -> Any:
        return _lib.PySampler.from_pymc(settings, cores, self._make_model(init_mean), progress, *rest)

    def _make_model(self, _init_mean: Any) -> Any:
        names, shapes = list(self._shapes), list(self._shapes.values())
        width = sum(int(np.prod(shape)) for shape in shapes)
        (evaluate, read), (select, selected) = self._evaluate, self._select
        sizes: dict[str, int] = {}
        variables = _lib.PyVariable.new_variables(names, ["float64"] * len(names), shapes, sizes, {})
        return _lib.PyMcModel(
            _lib.LogpFunc(evaluate.address, read.address, self),
            _lib.ExpandFunc(self._size, width, select.address, selected.address, self),
            variables,
            self._size,
            sizes,
            {},
            self._start,
            None,
        )
