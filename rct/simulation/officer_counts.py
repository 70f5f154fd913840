"""Counts of measured units, incident by incident, with incidents that several officers share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.simulation.cluster_totals import draw_rate_factors
from rct.simulation.companies import Companies
from rct.simulation.nested_events import count_persons, thin
from rct.simulation.truth import Truth, truncated_mean_size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INCIDENTS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Incidents:
    """Incidents of one outcome: first officer, period, and number of officers of each."""

    lead: "npt.NDArray[np.int64]"
    period: "npt.NDArray[np.int64]"
    size: "npt.NDArray[np.int64]"


def draw_counts(
    rng: "np.random.Generator",
    truth: Truth,
    clusters: "npt.NDArray[np.int64]",
    companies: "npt.NDArray[np.int64]",
    log_effects: "npt.NDArray[np.float64]",
    *,
    place: "npt.NDArray[np.int64] | None" = None,
    present: "npt.NDArray[np.bool_] | None" = None,
) -> "npt.NDArray[np.float64]":
    """Draw one trial's counts, measured unit by measured unit.

    Parameters
    ----------
    clusters : shape (units,)
        Number of each unit's randomized unit, whose random effects it shares.
    companies : shape (units,)
        Number of the group among whom the other officers of an incident are found, unless they move.
    log_effects : shape (outcomes, units, periods)
        Of each unit's own sequence.
    place : shape (units, periods), optional
        Randomized unit where each works, where that is not its own throughout; incidents are shared there.
    present : shape (units, periods), optional
        Who is still there; all are where absent.

    Returns
    -------
    numpy.ndarray, shape (outcomes, units, periods)
        Whole numbers, except for outcomes counted in shares.
    """
    import numpy as np

    units, periods = log_effects.shape[1:]
    activity = np.ones(units)
    if np.isfinite(truth.heterogeneity):
        activity = np.divide(rng.gamma(truth.heterogeneity, size=units), truth.heterogeneity)
    factors = draw_rate_factors(rng, truth, int(clusters.max()) + 1, periods)
    mean = activity[:, None] * (factors[clusters] if place is None else factors[place, np.arange(periods)])
    if present is not None:
        mean = mean * present
    counts = np.zeros(log_effects.shape)
    where = Companies.of_trial(companies, periods, place=place, present=present)
    small = _smallness(truth, where)
    for parent in (outcome for outcome, within in enumerate(truth.parents) if within < 0):
        rate = truth.incident_rate(parent) * (small if truth.counting[parent] == "every" else 1.0)
        led = rng.poisson(rate * np.exp(log_effects[parent]) * mean)
        incidents = _expand(rng, truth, led, where)
        nested = truth.nested(parent)
        happened = np.ones((1 + len(nested), len(incidents.lead)), dtype=np.int64)
        if nested:
            chance = truth.nested_probabilities(parent, log_effects)[:, incidents.lead, incidents.period]
            happened[1:] = thin(rng, happened[0], chance, truth.injury_overlap)
        officers = _officers(rng, incidents, activity, where)
        for outcome, events in zip([parent, *nested], happened, strict=True):
            persons = count_persons(rng, events, truth.persons[outcome])
            _add(counts[outcome], incidents, persons, officers, truth.counting[outcome])
    return counts


def _smallness(truth: Truth, companies: Companies) -> "npt.NDArray[np.float64]":
    """Give the factor (units, 1 or periods) by which too small companies must have more incidents."""
    import numpy as np

    sizes = companies.sizes
    factor = {
        n: truth.mean_size / truncated_mean_size(truth.mean_size, int(n)) for n in np.unique(sizes) if n
    }
    return np.array([factor.get(n, 0.0) for n in sizes])[companies.code]


def _expand(
    rng: "np.random.Generator", truth: Truth, led: "npt.NDArray[np.int64]", companies: Companies
) -> Incidents:
    import numpy as np

    lead, period = np.nonzero(led)
    times = led[lead, period]
    lead, period = np.repeat(lead, times), np.repeat(period, times)
    size = np.ones(len(lead), dtype=np.int64)
    if truth.mean_size > 1:
        most = companies.sizes[companies.of(lead, period)]
        size = np.minimum(1 + rng.poisson(truth.mean_size - 1, len(lead)), most)
    return Incidents(lead, period, size)


def _officers(
    rng: "np.random.Generator",
    incidents: Incidents,
    activity: "npt.NDArray[np.float64]",
    companies: Companies,
) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
    """Give (incident, officer) pairs: the first officer, and others of the company by their activity.

    The others are drawn without replacement (Efraimidis & Spirakis 2006: the smallest exponential / weight).
    """
    import numpy as np

    alone = np.arange(len(incidents.lead))
    pairs = [(alone, incidents.lead)]
    shared = np.flatnonzero(incidents.size > 1)
    own = companies.of(incidents.lead[shared], incidents.period[shared])
    for company in np.unique(own):
        members = companies.members(company)
        here = shared[own == company]
        for at in range(0, len(here), INCIDENTS_AT_ONCE):
            part = here[at : at + INCIDENTS_AT_ONCE]
            key = rng.exponential(size=(len(part), len(members))) / np.maximum(activity[members], 1e-300)
            key[members == incidents.lead[part, None]] = np.inf
            order = key.argsort(axis=1)
            taken = np.arange(len(members)) < incidents.size[part, None] - 1
            row, column = np.nonzero(taken)
            pairs.append((part[row], members[order[row, column]]))
    incident, officer = zip(*pairs, strict=True)
    return np.concatenate(incident), np.concatenate(officer)


def _add(
    counts: "npt.NDArray[np.float64]",
    incidents: Incidents,
    events: "npt.NDArray[np.int64]",
    officers: "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]",
    counting: str,
) -> None:
    """Add events to the rows they count in: the first officer's, every officer's, or in shares."""
    import numpy as np

    if counting == "first":
        np.add.at(counts, (incidents.lead, incidents.period), events)
        return
    incident, officer = officers
    weight = events[incident] / (incidents.size[incident] if counting == "share" else 1)
    np.add.at(counts, (officer, incidents.period[incident]), weight)
