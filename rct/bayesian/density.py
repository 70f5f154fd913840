"""The log density of a model of counts and its gradient, compiled once on a machine for all panels.

PyMC states a model (:func:`rct.bayesian.pymc_model`), and its density is what the one here is
tested against, to the last digits. It is not what is sampled, because PyTensor compiles it anew for every
shape of panel, for a minute or more before the first draw; the loops here serve every panel and prior.
"""

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.density_counts import Agencies, Counts, counts_of
from rct.bayesian.density_evaluation import OF_AGENCIES, OF_OFFICERS, SELECTED, Kind, evaluation, selection
from rct.bayesian.density_layout import ABSENT, Layout
from rct.bayesian.density_priors import log_constants, middles
from rct.bayesian.density_variables import Derived, derived_variables
from rct.bayesian.machine_code import Memory
from rct.bayesian.model_inputs import Inputs
from rct.bayesian.waiting import waiting
from rct.errors import EstimationError

if TYPE_CHECKING:
    import xarray as xr

    from rct.bayesian.nutpie_model import NutpieModel

Floats = NDArray[np.float64]
STARTS = 20
NUMBERS = ctypes.POINTER(ctypes.c_double)


class Density:
    """A model's log density for one panel.

    Parameters
    ----------
    layout
        Where the parameters stand.
    counts
        What was counted.
    constant
        Part of the log-likelihood that no parameter enters.
    derived
        Variables besides those of the layout, by name.
    """

    def __init__(
        self, layout: Layout, counts: Counts | Agencies, constant: float, derived: Mapping[str, Derived]
    ) -> None:
        self.layout, self._derived = layout, derived
        self.size = len(layout.priors[0])
        course = layout.course
        self._kind = Kind(
            of_agencies=isinstance(counts, Agencies),
            of_cells=isinstance(counts, Counts) and counts.dispersion != ABSENT,
            has_injuries=isinstance(counts, Counts) and len(counts.injuries) > 0,
            moves=max(course.fading, course.share) != ABSENT,
        )
        whole = log_constants(*layout.priors) + constant
        kind = OF_AGENCIES if self._kind.of_agencies else OF_OFFICERS
        self._memory = Memory((whole, layout.priors, layout.terms, course, counts), kind)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dimensions of the model's variables."""
        return {name: known.dims for name, known in (self.layout.variables | dict(self._derived)).items()}

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Give the log density of the free numbers, (size,), with their Jacobian, and its gradient."""
        found, gradient = np.empty(1), np.empty(self.size)
        point = np.ascontiguousarray(x, dtype=float)
        at = (array.ctypes.data_as(NUMBERS) for array in (point, gradient, found))
        evaluation(self._kind).ctypes(self.size, *at, self._memory.address)
        return float(found[0]), gradient

    def variables(self, x: Floats) -> dict[str, Floats]:
        """Give all variables by name at one point."""
        names = list(self.layout.variables)
        shapes, memory = self._selected(names)
        sizes = [math.prod(shape) for shape in shapes.values()]
        found = np.empty(sum(sizes))
        point = np.ascontiguousarray(x, dtype=float)
        at = (array.ctypes.data_as(NUMBERS) for array in (point, found))
        selection().ctypes(self.size, len(found), *at, memory.address)
        parts = np.split(found, np.cumsum(sizes)[:-1])
        values = {name: part.reshape(1, *shapes[name]) for name, part in zip(names, parts, strict=True)}
        return {name: value[0] for name, value in self._completed(values, list(self.dims)).items()}

    def start(self, seed: Any) -> Floats:
        """Give a point from which a chain starts: within one of the middle of every prior."""
        return middles(*self.layout.priors) + np.random.default_rng(seed).uniform(-1, 1, self.size)

    def _require_start(self) -> None:
        """Refuse what has no density where chains start: nutpie fails with its threads still running."""
        for seed in range(STARTS):
            value, gradient = self(self.start(seed))
            if np.isfinite(value) and np.isfinite(gradient).all():
                return
        raise EstimationError(
            "the model has no density around the middle of its priors, where the chains start: the expected "
            "counts there are too large or too small for numbers. Is the middle of a prior far off (of the "
            "intercept it is a log rate per unit of exposure), or the exposure?"
        )

    def known(self, names: Sequence[str]) -> list[str]:
        """Give those of some variables that the model has."""
        return [name for name in names if name in self.dims]

    def for_nutpie(self, kept: Sequence[str]) -> "NutpieModel":
        """Give what nutpie samples: the variables to be kept, or what they are computed from.

        Raises
        ------
        EstimationError
            Where no chain could start.
        """
        from rct.bayesian.nutpie_model import NutpieModel

        sources = {
            source
            for name in kept
            for source in (self._derived[name].sources if name in self._derived else (name,))
        }
        shapes, memory = self._selected([name for name in self.layout.variables if name in sources])
        with waiting("compiling, once on this machine"):
            evaluate, select = evaluation(self._kind), selection()
        self._require_start()
        return NutpieModel(self.size, shapes, (evaluate, self._memory), (select, memory), self.start)

    def dataset(self, drawn: "xr.Dataset", kept: Sequence[str]) -> "xr.Dataset":
        """Give the kept variables with their dimensions, of what nutpie drew of :meth:`for_nutpie`."""
        import xarray as xr

        chains, draws = drawn.sizes["chain"], drawn.sizes["draw"]
        values = {
            str(name): drawn[name].to_numpy().reshape(chains * draws, *drawn[name].shape[2:])
            for name in drawn
        }
        table = {
            name: (("chain", "draw", *self.dims[name]), value.reshape(chains, draws, *value.shape[1:]))
            for name, value in self._completed(values, kept).items()
        }
        lengths = {name: len(labels) for name, labels in self.layout.inputs.coords.items()}
        used = dict.fromkeys(dim for dims, _ in table.values() for dim in dims)
        coords = {dim: np.arange({"chain": chains, "draw": draws, **lengths}[dim]) for dim in used}
        return xr.Dataset(table, coords=coords)

    def _selected(self, names: Sequence[str]) -> tuple[dict[str, tuple[int, ...]], Memory]:
        """Give the shapes of variables of the layout, and what selects them, one after the other."""
        known = {name: self.layout.variables[name] for name in names}
        places = [
            self.size * variable.coefficient + variable.start + np.arange(math.prod(variable.shape))
            for variable in known.values()
        ]
        memory = Memory((self.layout.priors, self.layout.terms, np.concatenate(places)), SELECTED)
        return {name: variable.shape for name, variable in known.items()}, memory

    def _completed(self, values: Mapping[str, Floats], kept: Sequence[str]) -> dict[str, Floats]:
        """Give variables, (draws, …), from those of the layout."""
        return {
            name: derived.formula(*(values[source] for source in derived.sources))
            if (derived := self._derived.get(name))
            else values[name]
            for name in kept
        }


def officer_density(inputs: Inputs) -> Density:
    """Give the density of any model but that of agencies."""
    layout = Layout(inputs)
    constant = float(np.sum(inputs.tables["constant"]))
    return Density(layout, counts_of(inputs, layout.start), constant, derived_variables(layout))
