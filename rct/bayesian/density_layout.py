"""Where the parameters of a model of counts stand in the vectors that its density is computed from.

The sampler moves one vector of free numbers. Each is a parameter with a normal prior, the logarithm of one
with a gamma prior, or the logit of one with a beta prior; whatever else a model declares is made of these:

- effects that sum to zero, from one number less, by the reflection that leaves lengths as they are
  (Householder 1958, "Unitary triangularization of a nonsymmetric matrix"), so that all stay independent
  normal; a random walk, from its steps; cluster effects, from standard normal ones times their standard
  deviation;
- the shares of a dose, which have a Dirichlet prior, from independent beta fractions of what the shares
  before left (Connor & Mosimann 1969, "Concepts of independence for proportions", section 2);
- correlations, from partial correlations.

A log rate is then a sum of *coefficients*, looked up by place, and of the treatment's change.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.density_course import Course
from rct.bayesian.density_priors import BETA, GAMMA, NORMAL
from rct.bayesian.density_terms import CORRELATED, PLAIN, SCALED, WALK, ZERO_SUM, Terms
from rct.bayesian.model_inputs import Inputs

ABSENT = -1
PLACES = (
    "effect", "fading", "dose_share", "partial", "heterogeneity", "dispersion", "zero_share",
)  # fmt: skip
Numbers = Sequence[tuple[float, ...]]


class Variable(NamedTuple):
    """A named variable: its dimensions, its shape, and where it stands among values or coefficients."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    start: int
    coefficient: bool = False


class Layout:
    """Free numbers and coefficients of a model, as they are added one after the other."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.outcomes, self.arms, self.periods, self.clusters, self.blocks = (
            len(inputs.coords[name])
            for name in ("outcome", "arm", "period_number", "cluster_name", "block_name")
        )
        self.joint = "effect_given" in inputs.priors
        self.start = dict.fromkeys(PLACES, ABSENT)
        self.variables: dict[str, Variable] = {}
        self._priors: list[tuple[int, float, float]] = []
        self._blocks: list[tuple[int, ...]] = []
        self._places: list[NDArray[np.int64]] = []
        self._coefficients = 0
        self._declare()

    @property
    def shape(self) -> tuple[int, ...]:
        """Outcomes, paths and periods."""
        return (self.outcomes, *self.inputs.tables["counts"].shape[1:])

    @property
    def priors(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Kind and two numbers of the prior of each free number."""
        kind, first, second = zip(*self._priors, strict=True)
        return np.array(kind, np.int64), np.array(first, float), np.array(second, float)

    @property
    def terms(self) -> Terms:
        """What the log rates are made of."""
        blocks, places = np.array(self._blocks, np.int64), np.stack(self._places, axis=-1).astype(np.uintp)
        return Terms(blocks, places, self.start["effect"], self.start["partial"], self._coefficients)

    @property
    def course(self) -> Course:
        """What the weights of the effects are made of."""
        tables, empty = self.inputs.tables, np.zeros((0, 0, 0))
        doses = np.stack([tables[f"dose_{arm}"] for arm in range(self.arms)]).astype(float)
        since, level = tables.get("since", empty).astype(float), tables.get("level", empty).astype(np.int64)
        lengths = (len(tables.get(name, ())) for name in ("window", "doses"))
        places = (self.start[name] for name in ("effect", "fading", "dose_share"))
        return Course(doses, since, level, *lengths, *places)

    def _numbers(self, term: str) -> Numbers:
        """Give the numbers of a term's prior by outcome; in the model "joint" injuries have their own."""
        tables = self.inputs.tables
        own = tables[f"prior_{term}"]
        given = tables.get(f"prior_{term}_given", own) if self.joint else own
        return [tuple(own)] + [tuple(given)] * (self.outcomes - 1)

    def _add(self, name: str, kind: int, numbers: Numbers, each: int = 1) -> int:
        """Add `each` free numbers for every pair of numbers of a prior, and give the place of the first."""
        self.start[name] = len(self._priors)
        self._priors += [(kind, float(a), float(b)) for a, b in numbers for _ in range(each)]
        return self.start[name]

    def _name(self, name: str, inner: tuple[str, ...], start: int, *, coefficient: bool = False) -> None:
        dims = (*self.inputs.outer, *inner)
        shape = tuple(len(self.inputs.coords[dim]) for dim in dims)
        self.variables[name] = Variable(dims, shape, start, coefficient)

    def _name_free(self, name: str, start: int, size: int) -> None:
        """Name parameters that other variables are computed from."""
        self.variables[name] = Variable((), (size,), start)

    def _declare(self) -> None:
        self._add_rates()
        self._add_own()

    def _add_rates(self) -> None:
        """Add the terms that every model of officers has."""
        self._add("effect", NORMAL, self._numbers("effect"), self.arms)
        self._name("effect", ("arm",) if self.arms > 1 else (), self.start["effect"])
        self._add_block("intercept", PLAIN, self._numbers("intercept"), (), np.zeros(1, np.int64))
        priors, tables = self.inputs.priors, self.inputs.tables
        if priors["block"]:
            sds = [(0.0, sd) for (sd,) in self._numbers("block")]
            self._add_block("block", ZERO_SUM, sds, ("block_name",), tables["block"])
        if priors["period"]:
            self._add_periods()
        if priors["cluster_sd"]:
            kind = CORRELATED if priors.get("cluster_correlation") else SCALED
            self._add_groups("cluster", kind, ("cluster_name",), tables["cluster"])
        if priors["cluster_period_sd"]:
            place = tables["cluster"] * self.periods + np.arange(self.periods)
            self._add_groups("cluster_period", SCALED, ("cluster_name", "period_number"), place)

    def _add_periods(self) -> None:
        inputs = self.inputs
        kind = ZERO_SUM if "zero-sum-normal" in inputs.priors["period"] else WALK  # type: ignore[operator]
        sds, place = [(0.0, sd) for (sd,) in self._numbers("period")], np.arange(self.periods)
        if not inputs.blocked_periods:
            self._add_block("period", kind, sds, ("period_number",), place)
            return
        rows = [sd for sd in sds for _ in range(self.blocks)]
        place = inputs.tables["block"] * self.periods + place
        self._add_block("period", kind, rows, ("block_name", "period_number"), place)

    def _add_block(
        self, name: str, kind: int, numbers: Numbers, inner: tuple[str, ...],
        place: NDArray[np.int64], sd: int = ABSENT,
    ) -> None:  # fmt: skip
        """Add a block of coefficients, one row for each prior; `place` is that within an outcome's part."""
        rows, of_outcome = len(numbers), int(np.prod([len(self.inputs.coords[dim]) for dim in inner]))
        columns = self.outcomes * of_outcome // rows
        begun = self._coefficients
        start = self._add(name, NORMAL, numbers, columns - (kind == ZERO_SUM))
        self._blocks.append((kind, start, begun, rows, columns, sd))
        self._coefficients += rows * columns
        offsets = begun + of_outcome * np.arange(self.outcomes)[:, None, None]
        self._places.append(np.broadcast_to(offsets + place, self.shape).astype(np.int64))
        self._name(name, inner, begun, coefficient=True)

    def _add_groups(self, term: str, kind: int, inner: tuple[str, ...], place: NDArray[np.int64]) -> None:
        """Add effects of clusters: a standard deviation with a sign, and standard normal effects."""
        sd = self._add(f"{term}_sd", NORMAL, [(0.0, scale) for (scale,) in self._numbers(f"{term}_sd")])
        self._name(f"{term}_sd", (), sd)
        self._add_block(term, kind, [(0.0, 1.0)] * self.outcomes, inner, place, sd)
        if kind == CORRELATED:
            (eta,) = self.inputs.tables["prior_cluster_correlation"]
            # Lewandowski, Kurowicka & Joe 2009, section 2.4: row i and column j from 0, given those before.
            b = [eta + (self.outcomes - 2 - j) / 2 for i in range(self.outcomes) for j in range(i)]
            self._name_free("partial", self._add("partial", BETA, [(x, x) for x in b]), len(b))

    def _add_own(self) -> None:
        """Add what only some models have."""
        priors, tables = self.inputs.priors, self.inputs.tables
        for term, kind in (
            ("heterogeneity", GAMMA), ("fading", GAMMA), ("dispersion", GAMMA), ("zero_share", BETA),
        ):  # fmt: skip
            if priors.get(term):
                numbers = self._numbers(term)[: len(tables["counts"])]
                self._name(term, (), self._add(term, kind, numbers))
        if self.joint and "heterogeneity" in self.variables:
            self.variables["heterogeneity"] = Variable((), (), self.start["heterogeneity"])
        if "dose_share" in priors:
            (concentration,) = tables["prior_dose_share"]
            steps = len(tables["doses"])
            sticks = [(concentration, concentration * left) for left in range(steps - 1, 0, -1)]
            start = self._add("dose_share", BETA, sticks * self.outcomes)
            self._name_free("dose_fraction", start, len(sticks) * self.outcomes)
