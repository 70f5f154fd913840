"""Whether the data tell an effect from the periods' own effects, or its prior alone is left."""

import numpy as np

from rct.bayesian.count_rows import CountRows
from rct.bayesian.priors import Priors
from rct.errors import EstimationError

BEFORE_AND_AFTER = (
    "no period holds treated and untreated rows: the effect is a change over time, whatever else changed then"
)


def require_identified(rows: CountRows, priors: Priors) -> None:
    """Refuse effects that vary with the period alone, or with each other: their posterior is the prior.

    What is left of each arm's dose within periods (of each block, where blocks have periods of their own)
    has to be there, and to differ between the arms.

    Raises
    ------
    EstimationError
        Naming outcome and arms.
    """
    if not priors["period"]:
        return
    for outcome in rows.outcomes:
        lost = _lost_arms(rows, outcome)
        if lost and not has_control(rows, outcome):
            raise EstimationError(
                f"outcome {outcome!r}: in every period either all rows are treated or none, so that the "
                "effect cannot be told from the periods' own, and would be its prior. Untreated units in "
                "treated periods are needed; period = false among the priors compares before and after "
                "instead, and takes any change over time for an effect."
            )
        if lost:
            raise EstimationError(
                f"outcome {outcome!r}: the usable rows do not tell the effect of {', '.join(lost)} from the "
                "periods' own and the other arms', so that it would be its prior. Leave the arm out."
            )


def has_control(rows: CountRows, outcome: str) -> bool:
    """Whether some period, of one block where blocks have periods of their own, has rows of both kinds."""
    one = rows.rows[outcome]
    share = (one["treated"] > 0).groupby([one[column] for column in _within(rows)]).mean()
    return bool(((share > 0) & (share < 1)).any())


def _within(rows: CountRows) -> list[str]:
    return ["block", "period"] if rows.blocked_periods else ["period"]


def _lost_arms(rows: CountRows, outcome: str) -> list[str]:
    one = rows.rows[outcome]
    dose = np.where(
        one["arm"].to_numpy()[:, None] == np.array(rows.arms, dtype=object),
        one["treated"].to_numpy(float)[:, None],
        0.0,
    )
    group = one.groupby(_within(rows)).ngroup().to_numpy()
    means = np.stack([np.bincount(group, column) for column in dose.T], axis=1) / np.bincount(group)[:, None]
    within = dose - means[group]
    _, sizes, directions = np.linalg.svd(within, full_matrices=False)
    limit = 1e-8 * max(1.0, float(np.abs(dose).max())) * np.sqrt(len(dose))
    loose = directions[sizes <= limit]
    return [arm for arm, part in zip(rows.arms, loose.T, strict=True) if (np.abs(part) > 1e-6).any()]
