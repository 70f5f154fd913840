"""What a model is built from, and how: the shape that every Bayesian model of counts has.

A model is a file with its likelihood and one :class:`CountModel`, listed in ``MODELS`` of
:mod:`rct.bayesian.fitting`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.count_rows import CountRows
from rct.bayesian.priors import Prior, Priors


@dataclass(frozen=True)
class Inputs:
    """What ``build`` may use: the priors by term, the labels of dimensions, the arrays as shared variables.

    Of the priors only the distributions, of the labels only their number may decide what is built.
    """

    priors: Priors
    coords: Mapping[str, list]
    tables: Mapping[str, Any]
    blocked_periods: bool = False

    @property
    def outer(self) -> tuple[str, ...]:
        """The first dimension of every variable: the outcome, where there are several."""
        return ("outcome",) if len(self.coords["outcome"]) > 1 else ()

    def by_outcome(self, variable: Any) -> Any:
        """Give a variable the outcomes along its first axis."""
        return variable if self.outer else variable[None]


def rows_as_they_are(rows: CountRows) -> CountRows:
    """Prepare nothing."""
    return rows


def no_requirement(priors: Priors) -> None:
    """Ask nothing."""


@dataclass(frozen=True)
class CountModel:
    """A Bayesian model of a panel's counts.

    Attributes
    ----------
    words
        What the model is, for messages.
    terms
        Names of the terms that have priors (:mod:`rct.bayesian.priors`).
    tables
        Rows and priors → the arrays that enter the model as data, by name.
    build
        Called inside a PyMC model that has these dimensions: declares the variables, adds the likelihood.
    judged
        Variables for which all limits of :mod:`rct.bayesian.sampling` hold, where they are in the model.
    kept
        Variables that stay in the result, the judged ones among them.
    prepare
        Adds columns to the rows, or refuses them.
    require
        Refuses priors with which the model has no meaning.
    estimand
        What ``effect`` is, in words; None: a constant log incidence rate ratio.
    caution
        A warning that stands beside every effect.
    defaults
        Default priors of this model where they differ from the term's.
    """

    words: str
    terms: tuple[str, ...]
    tables: Callable[[CountRows, Priors], Mapping[str, NDArray]]
    build: Callable[[Inputs], None]
    judged: tuple[str, ...]
    kept: tuple[str, ...]
    prepare: Callable[[CountRows], CountRows] = rows_as_they_are
    require: Callable[[Priors], None] = no_requirement
    estimand: Callable[[CountRows], str] | None = None
    caution: str = ""
    defaults: Mapping[str, Prior | bool] = field(default_factory=dict)


def prior_tables(priors: Priors) -> dict[str, NDArray]:
    """Give the numbers of the priors as arrays, by the name that :func:`numbers` looks up."""
    return {
        f"prior_{term}": np.array(next(iter(prior.values())), dtype=float)
        for term, prior in priors.items()
        if not isinstance(prior, bool)
    }


def numbers(inputs: Inputs, term: str) -> list[Any] | None:
    """Give the numbers of a term's prior; None where the term is not in the model."""
    prior = inputs.priors[term]
    if isinstance(prior, bool):
        return None
    table = inputs.tables[f"prior_{term}"]
    return [table[index] for index in range(len(next(iter(prior.values()))))]
