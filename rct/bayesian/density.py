"""The log density of a model of counts and its gradient, compiled once on a machine for all panels.

PyMC states a model (:func:`rct.bayesian.pymc_model`), and its density is what the one here is
tested against, to the last digits. It is not what is sampled, because PyTensor compiles it anew for every
shape of panel, for a minute or more before the first draw; the loops here serve every panel and prior.
"""

import math
import time
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.density_counts import cells, counts_of, officers, thinned
from rct.bayesian.density_course import weights, weights_back
from rct.bayesian.density_layout import ABSENT, Layout
from rct.bayesian.density_priors import log_constants, middles, priors
from rct.bayesian.density_terms import coefficients, factor, log_rates, log_rates_back
from rct.bayesian.model_inputs import Inputs
from rct.bayesian.waiting import waiting

Floats = NDArray[np.float64]
# Dimensions of a variable that is computed from others, and how: from those and all parameters.
Derived = tuple[tuple[str, ...], Callable[[dict[str, Floats], Floats], Any]]
# Parameters, log rates, rates → log-likelihood; adds its derivatives in log rates and parameters to the rest.
Likelihood = Callable[[Floats, Floats, Floats, Floats, Floats], float]

# Seconds of an evaluation from which on threads pay, and evaluations that are timed.
LONG, TRIES = 3e-4, 20


class Density:
    """A model's log density for one panel.

    Parameters
    ----------
    layout
        Where the parameters stand.
    likelihood
        Of the counts.
    constant
        Part of the log-likelihood that no parameter enters.
    derived
        Variables besides those of the layout, by name.
    """

    def __init__(
        self, layout: Layout, likelihood: Likelihood, constant: float, derived: Mapping[str, Derived]
    ) -> None:
        self.layout, self._likelihood, self._derived = layout, likelihood, derived
        self._priors, self._terms, self._course = layout.priors, layout.terms, layout.course
        self.size = len(self._priors[0])
        self._constant = log_constants(*self._priors) + constant
        self._moving = max(self._course.fading, self._course.share) != ABSENT

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Give the log density of the free numbers, (size,), with their Jacobian, and its gradient."""
        value, slope, gradient, back = np.zeros((4, self.size))
        eta, rate, eta_back = np.zeros((3, *self._terms.places.shape[:3]))
        # A copy: the sampler's own may not be written to, which is another type to compile for.
        total = priors(np.array(x), *self._priors, value, slope, gradient)
        weight = weights(value, self._course) if self._moving else self._course.doses
        log_rates(value, weight, self._terms, eta, rate)
        total += self._likelihood(value, eta, rate, eta_back, back)
        log_rates_back(value, weight, self._terms, eta_back, back)
        if self._moving:
            weights_back(value, self._course, weight, eta_back, back)
        return total + self._constant, gradient + back * slope

    def variables(self, x: Floats) -> dict[str, Floats]:
        """Give the model's variables by name at one point."""
        value, slope, gradient = (np.zeros(self.size) for _ in range(3))
        priors(np.array(x), *self._priors, value, slope, gradient)
        made = coefficients(value, self._terms)
        named = {}
        for name, (_, shape, start, coefficient) in self.layout.variables.items():
            found = (made if coefficient else value)[start : start + math.prod(shape)]
            named[name] = found.reshape(shape)
        return named | {name: derive(named, value) for name, (_, derive) in self._derived.items()}

    def start(self, seed: Any) -> Floats:
        """Give a point from which a chain starts: within one of the middle of every prior."""
        return middles(*self._priors) + np.random.default_rng(seed).uniform(-1, 1, self.size)

    def for_nutpie(self, wanted: tuple[str, ...]) -> tuple[Any, list[str]]:
        """Give what nutpie samples, and those of the wanted variables that the model has."""
        from nutpie.compiled_pyfunc import from_pyfunc

        with waiting("compiling, once on this machine"):
            self(middles(*self._priors))
            found, dims = self.variables(middles(*self._priors)), self._dims()
        kept = [name for name in wanted if name in found]

        def expand(x: Floats) -> dict[str, Floats]:
            named = self.variables(x)
            return {name: np.array(named[name], order="C") for name in kept}

        model = from_pyfunc(
            self.size,
            lambda: self,
            lambda *_: expand,
            [np.dtype(float)] * len(kept),
            [np.shape(found[name]) for name in kept],
            kept,
            coords={name: np.arange(len(labels)) for name, labels in self.layout.inputs.coords.items()},
            dims={name: dims[name] for name in kept if dims[name]},
            make_initial_point_fn=self.start,
        )
        return model, kept

    def gains_from_threads(self) -> bool:
        """Whether an evaluation is long enough for chains to run side by side.

        Between evaluations threads take turns in Python's interpreter. Of short ones the turns cost more than
        a second processor brings.
        """
        point = middles(*self._priors)
        self(point)
        begun = time.perf_counter()
        for _ in range(TRIES):
            self(point)
        return (time.perf_counter() - begun) / TRIES > LONG

    def _dims(self) -> dict[str, tuple[str, ...]]:
        own = {name: variable.dims for name, variable in self.layout.variables.items()}
        return own | {name: dims for name, (dims, _) in self._derived.items()}


def officer_density(inputs: Inputs) -> Density:
    """Give the density of any model but that of agencies."""
    layout = Layout(inputs)
    counts = counts_of(inputs, layout.start)
    main = officers if counts.dispersion == ABSENT else cells

    def likelihood(value: Floats, eta: Floats, rate: Floats, eta_back: Floats, back: Floats) -> float:
        total = main(value, eta, rate, counts, eta_back, back)
        return total + thinned(eta, counts, eta_back) if len(counts.injuries) else total

    return Density(layout, likelihood, float(np.sum(inputs.tables["constant"])), _derived_variables(layout))


def _derived_variables(layout: Layout) -> dict[str, Derived]:
    """Give the variables that are computed from others: their dimensions, and how."""
    outer, known = layout.inputs.outer, layout.variables
    derived: dict[str, Derived] = {
        name: (known[name].dims, _unsigned(name))
        for name in ("cluster_sd", "cluster_period_sd")
        if name in known
    }
    if "fading" in known:
        derived["half_life"] = (outer, lambda named, _: np.log(2) / named["fading"])
    if layout.start["dose_share"] != ABSENT:
        derived["dose_share"] = ((*outer, "dose"), lambda _, value: _shares(layout, value))
    if layout.start["partial"] != ABSENT:
        derived["cluster_correlation"] = (("outcome_pair",), lambda _, value: _correlations(layout, value))
    if layout.joint:
        inner = known["effect"].dims[1:]
        derived["effect_given"] = (("injury", *inner), lambda named, _: named["effect"][1:])
        derived["effect"] = (("outcome", *inner), lambda named, _: _whole(named["effect"]))
    return derived


def _unsigned(name: str) -> Callable[[dict[str, Floats], Floats], Any]:
    return lambda named, _: np.abs(named[name])


def _whole(effects: Floats) -> Floats:
    """Give the effects on force and, added to it, on injury given force."""
    return np.concatenate([effects[:1], effects[:1] + effects[1:]])


def _shares(layout: Layout, value: Floats) -> Floats:
    """Give the share of each step of the dose, (outcomes, steps), or (steps,) of one outcome."""
    outcomes, free, start = layout.outcomes, layout.course.steps - 1, layout.start["dose_share"]
    left = np.cumprod(1 - value[start : start + outcomes * free].reshape(outcomes, free), axis=1)
    reached = np.column_stack([np.zeros(outcomes), 1 - left, np.ones(outcomes)])
    shares = np.diff(reached, axis=1)
    return shares if layout.inputs.outer else shares[0]


def _correlations(layout: Layout, value: Floats) -> Floats:
    """Give the correlation of each pair of outcomes' cluster effects, with the signs of their sds."""
    lower = factor(value, layout.start["partial"], layout.outcomes)
    start = layout.start["cluster_sd"]
    sign = np.sign(value[start : start + layout.outcomes])
    beside = np.array(list(combinations(range(layout.outcomes), 2))).T
    return (lower @ lower.T * np.outer(sign, sign))[beside[0], beside[1]]
