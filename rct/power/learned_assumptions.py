"""Rates, heterogeneity, variation, trend and season, learned from an agency's earlier months."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rct.errors import DataError
from rct.power.resampled_history import require_outcomes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rct.panel import Panel
    from rct.trial import Trial

FEWEST_EVENTS = 20
MONTHS_FOR_SEASON = 24
MOST_ALIKE = 1e4


@dataclass(frozen=True)
class Counted:
    """Events of the outcome that is learned from most.

    Attributes
    ----------
    counts, exposure : (units, periods)
    clusters : (units,) codes of randomized units
    months : (periods,) calendar month 1 to 12; 0 where the history does not tell
    """

    counts: "npt.NDArray[np.float64]"
    exposure: "npt.NDArray[np.float64]"
    clusters: "npt.NDArray[np.int64]"
    months: "npt.NDArray[np.int64]"


def learn(trial: "Trial", history: "Panel") -> dict[str, Any]:
    """Learn assumptions for `[power]` from earlier months.

    The trend and the season come from a log-linear Poisson fit to the totals by period (the season where
    there are 24 months and more), the variation between units and between randomized units from factorial
    moments, which no Poisson noise and no estimated mean enters. With y_i events in time w_i, a unit's own
    factor leaves E y_i(y_i − 1) = w_i²λ_c²(1 + 1/shape), and pairs of one randomized unit c tell λ_c² =
    Σ y_i y_j / Σ w_i w_j; pairs of different ones tell the square of the mean rate. Variation between periods
    comes from the squares of what totals differ from both margins by. Where these are negative there is no
    sign of such variation. Everything but the rates comes from the first primary outcome.

    Parameters
    ----------
    trial : Trial
    history : Panel

    Returns
    -------
    dict
        The keys of `[power]`: rates (by outcome, at the end of the history, where the trial begins),
        heterogeneity, cluster_sd, cluster_period_sd, trend (per period), season.

    Raises
    ------
    DataError
        For a history without an outcome of the trial, or with fewer than 20 events of the one to learn from.
    """
    names = [outcome.name for outcome in trial.outcomes]
    require_outcomes(history, names)
    first = next((o.name for o in trial.outcomes if o.primary), names[0])
    counted = _counted(history, first)
    events = counted.counts.sum()
    if events < FEWEST_EVENTS:
        raise DataError(
            f"the history holds {events:.0f} events of {first}: too few to learn from (20 are the least); "
            "declare the assumptions under [power] instead"
        )
    trend, season, relative = _trend_and_season(counted)
    expected_time = (counted.exposure * relative).sum()
    exposed = counted.exposure.sum()
    rates = {}
    for name in names:
        total = _grid(history, name).to_numpy().sum()
        if total == 0:
            raise DataError(f"the history holds no event of {name}: its rate cannot be learned; declare it")
        rates[name] = float(total / expected_time)
    shape, between, within = _variation(counted, relative, exposed / expected_time)
    learned: dict[str, Any] = {
        "rates": rates,
        "heterogeneity": shape,
        "cluster_sd": between,
        "cluster_period_sd": within,
        "trend": trend,
    }
    return learned | ({"season": season} if season else {})


def learned_trial(trial: "Trial", history: "Panel", *, resampled: bool = False) -> "Trial":
    """Give the trial with assumptions learned from its history; what cannot be learned stays declared.

    `resampled` says that months themselves are taken from the history, so that nothing is drawn from these.
    """
    learned = learn(trial, history)
    if trial.schedule.start is None:
        learned.pop("season", None)
    learned["assumptions"] = (
        (_resampled_in_words(trial, history),) if resampled else _learned_in_words(trial, history, learned)
    )
    return trial.model_copy(update={"power": trial.power.model_copy(update=learned)})


def _resampled_in_words(trial: "Trial", history: "Panel") -> str:
    units, earlier = f"{history.frame['unit'].nunique():,} units", history.periods
    taken = (
        f"the same {earlier} earlier periods of {units}"
        if earlier == trial.schedule.periods
        else f"a random stretch of {trial.schedule.periods} of {earlier} earlier periods of {units}"
    )
    return (
        f"Each simulated trial is {taken}, with the effect put in: nothing is assumed of rates, "
        "heterogeneity, variation or trend. That other months might have been otherwise is not in the ±."
    )


def _learned_in_words(trial: "Trial", history: "Panel", learned: dict[str, Any]) -> tuple[str, str]:
    """Say where assumptions come from, and what they are."""
    units, of = trial.units, trial.schedule.period
    rates = ", ".join(f"{name.replace('_', ' ')} {rate:.3g}" for name, rate in learned["rates"].items())
    shape = learned["heterogeneity"]
    parts = [
        f"events per {units.measure} and {of}: {rates}",
        f"rates by {units.measure} no more unequal than chance makes them"
        if shape is None
        else f"gamma shape of rates by {units.measure} {shape:.2g}",
    ]
    if units.randomize != units.measure:
        parts.append(
            f"standard deviation of log rates by {units.randomize} {learned['cluster_sd']:.2f}, by "
            f"{units.randomize} and {of} {learned['cluster_period_sd']:.2f}"
        )
    parts.append(f"trend {100 * math.expm1(learned['trend']):+.1f} % a {of}".replace("-", "−"))
    if "season" in learned:
        parts.append(f"season from {min(learned['season']):.2f} to {max(learned['season']):.2f} of the mean")
    return (
        f"Rates, heterogeneity, variation and trend are learned from {history.periods} earlier periods of "
        f"{history.frame['unit'].nunique():,} units, not from the file.",
        f"Learned: {'; '.join(parts)}.",
    )


def _counted(history: "Panel", name: str) -> Counted:
    import numpy as np
    import pandas as pd

    frame = history.frame
    last = frame.sort_values("period").drop_duplicates("unit", keep="last").set_index("unit")
    counts = _grid(history, name)
    clusters = pd.factorize(last["randomized"].reindex(counts.index))[0]
    labels = frame.drop_duplicates("period").sort_values("period")["period_label"].astype(str)
    months = pd.to_numeric(labels.str.extract(r"^\d{4}-(\d{2})")[0], errors="coerce").fillna(0)
    exposure = _grid(history, "exposure").to_numpy()
    return Counted(counts.to_numpy(), exposure, np.asarray(clusters), months.to_numpy().astype(int))


def _grid(history: "Panel", column: str) -> "pd.DataFrame":
    wide = history.frame.pivot(index="unit", columns="period", values=column).sort_index()
    return wide.reindex(columns=range(1, history.periods + 1)).astype(float).fillna(0.0)


def _trend_and_season(counted: Counted) -> "tuple[float, tuple[float, ...], npt.NDArray[np.float64]]":
    """Give trend, twelve seasonal factors, and each period's rate relative to that at the end."""
    import numpy as np

    periods = counted.counts.shape[1]
    time = np.arange(periods) - periods  # the trial's first period is the next one
    seasonal = len(set(counted.months)) == 12 and periods >= MONTHS_FOR_SEASON
    columns = [np.ones(periods), time.astype(float)]
    if seasonal:
        # Sum contrasts: the factors' logs add up to zero over the year.
        columns += [(counted.months == m).astype(float) - (counted.months == 12) for m in range(1, 12)]
    design = np.stack(columns, axis=1)
    beta = _poisson_fit(counted.counts.sum(axis=0), counted.exposure.sum(axis=0), design)
    relative = np.exp(design[:, 1:] @ beta[1:])
    if not seasonal:
        return float(beta[1]), (), relative
    logs = np.append(beta[2:], -beta[2:].sum())
    factors = np.exp(logs)
    return float(beta[1]), tuple(float(f) for f in factors / factors.mean()), relative * factors.mean() ** -1


def _poisson_fit(
    counts: "npt.NDArray[np.float64]", exposure: "npt.NDArray[np.float64]", design: "npt.NDArray[np.float64]"
) -> "npt.NDArray[np.float64]":
    """Maximum likelihood by Newton's method (McCullagh & Nelder 1989, section 2.5)."""
    import numpy as np

    seen = exposure > 0
    counts, exposure, design = counts[seen], exposure[seen], design[seen]
    beta = np.zeros(design.shape[1])
    beta[0] = math.log(counts.sum() / exposure.sum())
    for _ in range(50):
        mean = exposure * np.exp(design @ beta)
        step = np.linalg.lstsq(design.T @ (design * mean[:, None]), design.T @ (counts - mean), rcond=None)[0]
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    return beta


def _variation(
    counted: Counted, relative: "npt.NDArray[np.float64]", scale: float
) -> tuple[float | None, float, float]:
    """Give gamma shape (None: all alike), sd between randomized units, and between their periods."""
    import numpy as np

    time = counted.exposure * relative * scale
    own, weight = counted.counts.sum(axis=1), time.sum(axis=1)
    apart = counted.clusters.max() + 1 == len(own)  # each unit is randomized itself: one level, not two
    clusters = np.zeros_like(counted.clusters) if apart else counted.clusters
    number = clusters.max() + 1

    def total(values: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        return np.bincount(clusters, values, number).astype(float)

    events, time_of = total(own), total(weight)
    pairs, pair_time = events**2 - total(own**2), time_of**2 - total(weight**2)
    several = pair_time > 0
    alike = (total(weight**2) * np.divide(pairs, pair_time, out=np.zeros(number), where=several)).sum()
    excess = float((total(own * (own - 1))[several]).sum() / alike - 1) if alike > 0 else 0.0
    shape = 1 / excess if excess > 1 / MOST_ALIKE else None
    if apart:
        return shape, 0.0, 0.0
    rate_squared = (events.sum() ** 2 - (events**2).sum()) / (time_of.sum() ** 2 - (time_of**2).sum())
    between = float(pairs.sum() / (pair_time.sum() * rate_squared) - 1) if several.any() else 0.0
    rate = np.divide(events, time_of, out=np.zeros(number), where=time_of > 0)
    cells = np.stack([np.bincount(counted.clusters, column, number) for column in counted.counts.T], axis=1)
    exposed = np.stack([np.bincount(counted.clusters, column, number) for column in time.T], axis=1)
    fitted = rate[:, None] * exposed
    fitted = fitted * (cells.sum(axis=0) / np.maximum(fitted.sum(axis=0), 1e-300))
    free = (1 - 1 / number) * (1 - 1 / cells.shape[1])
    within = float(((cells - fitted) ** 2 - fitted * free).sum() / ((fitted**2).sum() * free))
    return shape, _log_sd(between), _log_sd(within)


def _log_sd(relative_variance: float) -> float:
    """Give the sd of the log of a log-normal factor from its squared coefficient of variation."""
    return math.sqrt(math.log1p(max(relative_variance, 0.0)))
