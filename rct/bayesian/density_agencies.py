"""The log density of the model of agencies, compiled once on a machine as that of officers' models is."""

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.agency_likelihood import QUADRATURE, common_change
from rct.bayesian.density import Density
from rct.bayesian.density_counts import Agencies
from rct.bayesian.density_course import Course
from rct.bayesian.density_layout import ABSENT, Layout
from rct.bayesian.density_priors import GAMMA, HALF_NORMAL, NORMAL
from rct.bayesian.density_terms import PLAIN
from rct.bayesian.density_variables import Derived
from rct.bayesian.model_inputs import Inputs

Floats = NDArray[np.float64]


class AgencyLayout(Layout):
    """Periods, heterogeneity and the distribution of the changes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """One outcome, one path."""
        return (1, 1, self.periods)

    @property
    def course(self) -> Course:
        """No arm moves the log rate: the changes are integrated out."""
        none = np.zeros((0, 0, 0))
        return Course(np.zeros((0, *self.shape)), none, none.astype(np.int64), 0, 0, ABSENT, ABSENT, ABSENT)

    def _declare(self) -> None:
        self._add_block("intercept", PLAIN, self._numbers("intercept"), (), np.zeros(1, np.int64))
        self._add_periods()
        self._name("heterogeneity", (), self._add("heterogeneity", GAMMA, self._numbers("heterogeneity")))
        ((sd,),) = self._numbers("agency_sd")
        self._name("agency_sd", (), self._add("agency_sd", HALF_NORMAL, [(0.0, sd)]))
        if self.inputs.priors["effect"]:
            self._name("effect", (), self._add("effect", NORMAL, self._numbers("effect")))


def agency_density(inputs: Inputs) -> Density:
    """Give the density of agencies' counts."""
    layout, tables = AgencyLayout(inputs), inputs.tables
    node, weight = np.polynomial.hermite.hermgauss(QUADRATURE)
    counts = Agencies(
        profile=np.ascontiguousarray(tables["profile"]),
        events=np.ascontiguousarray(tables["events"]),
        after=np.ascontiguousarray(tables["after"]),
        agencies=np.ascontiguousarray(tables["agencies"]),
        by_period=np.ascontiguousarray(tables["by_period"]),
        exposure_before=np.ascontiguousarray(tables["exposure_before"]),
        exposure_after=np.ascontiguousarray(tables["exposure_after"]),
        node=node,
        weight=weight * np.exp(node**2),
        effect=layout.start["effect"],
        agency_sd=layout.start["agency_sd"],
        heterogeneity=layout.start["heterogeneity"],
    )

    derived = {}
    if layout.start["effect"] == ABSENT:

        def effect(intercept: Floats, period: Floats) -> Floats:
            return common_change(tables, intercept + period.T, np)

        derived["effect"] = Derived((), ("intercept", "period"), effect)
    return Density(layout, counts, 0.0, derived)
