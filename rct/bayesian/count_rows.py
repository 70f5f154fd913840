"""The rows of a panel that a model of counts uses, and the labels of its dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from rct.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel


OF_CLUSTERS = ("cluster_sd", "cluster_period_sd", "cluster_correlation")


@dataclass(frozen=True)
class CountRows:
    """Usable rows by outcome, and the labels of what they hold.

    Attributes
    ----------
    rows
        By outcome: unit, period, cluster, block, arm, treated (the dose), exposure, count, starts.
    blocked_periods
        Whether blocks differ in the share of treated rows of a period. Each block then needs a time trend of
        its own: a common one would leave the difference of the blocks' trends to the effect.
    """

    rows: Mapping[str, "pd.DataFrame"]
    arms: list[str]
    periods: list[int]
    clusters: list[str]
    blocks: list[str]
    blocked_periods: bool

    @property
    def outcomes(self) -> list[str]:
        """The outcomes, in the order asked for."""
        return list(self.rows)

    @property
    def coords(self) -> dict[str, list]:
        """The labels of the model's dimensions."""
        return {
            "outcome": self.outcomes,
            "arm": self.arms,
            "period_number": self.periods,
            "cluster_name": self.clusters,
            "block_name": self.blocks,
            "injury": self.outcomes[1:],
            "outcome_pair": [f"{a}, {b}" for b, a in combinations(self.outcomes, 2)],
            "dose": self.doses,
        }

    @property
    def doses(self) -> list[float]:
        """The doses above 0 that some row has, rising."""
        found = {float(dose) for one in self.rows.values() for dose in one["treated"].unique()}
        return sorted(found - {0.0})


def count_rows(panel: "Panel", outcomes: list[str], refresher: str | None = None) -> CountRows:
    """Take the usable rows of a panel.

    Parameters
    ----------
    refresher
        Column of the panel that is 1 in the periods of a refresher; it becomes ``refreshed``.

    Raises
    ------
    EstimationError
        For an outcome without events or without both treated and untreated rows.
    DataError
        For an unknown outcome, and for fractional counts.
    """
    rows = {name: usable_rows(panel, name) for name in outcomes}
    if refresher is not None:
        rows = {name: one.assign(refreshed=_refreshed(one, refresher)) for name, one in rows.items()}

    def values(column: str) -> list[str]:
        return sorted({str(value) for one in rows.values() for value in one[column].unique()})

    blocks = values("block")
    return CountRows(
        rows=rows,
        arms=panel.treatments,
        periods=sorted({int(p) for one in rows.values() for p in one["period"].unique()}),
        clusters=values("cluster"),
        blocks=blocks,
        blocked_periods=len(blocks) > 1 and any(_shares_differ(one) for one in rows.values()),
    )


def _refreshed(rows: "pd.DataFrame", column: str) -> "pd.Series":
    if column not in rows:
        raise EstimationError(
            f"refresher: the panel has no column {column!r}; name it among the "
            "covariates when the panel is made."
        )
    values = rows[column].astype(float)
    if not values.isin([0.0, 1.0]).all():
        raise EstimationError(f"refresher: column {column!r} holds other values than 0 and 1.")
    return values


def usable_rows(panel: "Panel", outcome: str) -> "pd.DataFrame":
    """Give the rows of one outcome, or say why no model of counts can use them."""
    panel.require_counts(outcome, asked_by="the Poisson model")
    if outcome in panel.fractional:
        raise EstimationError(
            f"outcome {outcome!r} may hold fractions, which have no Poisson likelihood; "
            "use an estimator for rates (poisson, staggered, randomization_test)."
        )
    rows = panel.rows(outcome)
    if not rows["count"].sum() > 0:
        raise EstimationError(
            f"outcome {outcome!r} has no event, so that its rate ratio would be the prior alone."
        )
    treated = rows["treated"] > 0
    if treated.all() or not treated.any():
        raise EstimationError(
            f"outcome {outcome!r}: {'every' if treated.all() else 'no'} usable row is treated; "
            "an effect needs rows of both kinds."
        )
    return rows


def _shares_differ(rows: "pd.DataFrame") -> bool:
    """Whether the treated share of a period differs between blocks by more than one unit's worth."""
    by_block = rows.assign(on=rows["treated"] > 0).groupby(["period", "block"])["on"].agg(["mean", "size"])
    periods = by_block.groupby("period")
    spread = periods["mean"].max() - periods["mean"].min()
    return bool((spread > 1 / periods["size"].min() + 1e-12).any())


def impossible_terms(rows: CountRows) -> dict[str, str]:
    """Name the terms that the panel cannot have, and why."""
    reasons: dict[str, str] = {}
    if len(rows.periods) == 1:
        reasons["period"] = "the panel has one period"
        reasons["period_given"] = "the panel has one period"
        reasons["cluster_period_sd"] = "the panel has one period"
    units = max(one["unit"].nunique() for one in rows.rows.values())
    if len(rows.clusters) == 1:
        reasons |= dict.fromkeys(OF_CLUSTERS, "the panel has one cluster")
    elif len(rows.clusters) >= units:
        reasons |= dict.fromkeys(OF_CLUSTERS, "every cluster of the panel is one unit")
    if len(rows.blocks) == 1:
        reasons["block"] = "the panel has one block"
    return reasons
