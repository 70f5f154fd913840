"""A panel whose truth is known, from a trial and its allocation."""

from typing import TYPE_CHECKING

from rct.panel import Panel
from rct.randomization.assigned_rows import assigned_rows, moved_rows, panel_meta, with_covariates
from rct.simulation.departures import draw_conduct, moves_on_record
from rct.simulation.officer_counts import draw_counts
from rct.simulation.truth import Effects, declared_truth

if TYPE_CHECKING:
    from rct.randomization import Allocation
    from rct.trial import Trial


def simulate(trial: "Trial", allocation: "Allocation", *, effects: Effects | None = None, seed: int) -> Panel:
    """Simulate the panel that a trial would record, its truth as declared in `[power]`.

    Measured units differ by a gamma factor; randomized units, and randomized units by period, by log-normal
    factors; the log rate follows a linear trend. Outcomes that are `within` another are thinned from its
    incidents. Incidents have 1 + Poisson officers, the others found in the first one's randomized unit
    (in the block where measured units are randomized themselves). The departures that `[power]` assumes
    (training refused or had anyway, leaving, moving, contamination, reporting) are drawn too: `received` says
    who was trained when, and an officer who has left has no exposure. Who moves is in the rows of the unit at
    randomization; with `units.movers = "current"` in those of the unit in which it is then.
    In a trial of shifts each cell has one period, and its incidents are its own.

    Parameters
    ----------
    trial : Trial
    allocation : Allocation
        Who follows which sequence, and the measured units.
    effects : mapping, optional
        outcome → incidence rate ratio at dose 1 (or → {treatment: ratio}), instead of the trial's own.
    seed : int

    Returns
    -------
    Panel
        With `meta["simulated"]` true and the effects in `meta["effects"]`.

    Raises
    ------
    TrialError
        If the trial declares no rates, or rates and effects that cannot be together.
    """
    import numpy as np
    import pandas as pd

    truth = declared_truth(trial, effects)
    rows = assigned_rows(allocation)
    first = rows.drop_duplicates("unit")
    clusters = pd.factorize(first["randomized"], sort=True)[0]
    measured_randomized = first["randomized"].nunique() == len(first)
    in_block = measured_randomized and trial.schedule.kind != "shifts"
    companies = pd.factorize(first["block"], sort=True)[0] if in_block else clusters
    rng = np.random.default_rng(seed)
    if truth.departures.individual:
        followed = first.drop_duplicates("randomized").sort_values("randomized")["sequence"].to_numpy()
        conduct = draw_conduct(rng, truth, allocation.sequences, followed, clusters)
        counts = draw_counts(
            rng, truth, clusters, companies, conduct.log_effects, place=conduct.place, present=conduct.present
        )
        if moves_on_record(trial):
            rows = moved_rows(rows, allocation, conduct.place)
        rows["received"] = conduct.received.ravel()
        rows["exposure"] = conduct.present.ravel().astype(float)
    else:
        of_sequence = truth.log_effects(allocation.sequences)
        counts = draw_counts(rng, truth, clusters, companies, of_sequence[:, first["sequence"].to_numpy()])
    for outcome, name in enumerate(truth.outcomes):
        whole = truth.counting[outcome] != "share"
        rows[name] = counts[outcome].ravel().astype("int64" if whole else "float64")
    meta = panel_meta(trial, allocation) | {
        "simulated": True,
        "effects": {name: dict(ratios) for name, ratios in truth.ratios.items()},
        "seed": seed,
    }
    fractional = tuple(outcome.name for outcome in trial.outcomes if outcome.fractional)
    rows = with_covariates(rows, allocation)
    return Panel(rows, truth.outcomes, fractional, trial.analysis.covariates, meta=meta)
