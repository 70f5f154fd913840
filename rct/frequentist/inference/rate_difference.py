"""The difference of rates within blocks and periods, with a standard error clustered on randomized units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rate_differences(
    counts: NDArray[np.float64],
    exposure: NDArray[np.float64],
    dose: NDArray[np.float64],
    block: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rate of the treated less that of the untreated, a weighted mean over blocks × periods.

    Weights E1 E0 / (E1 + E0), with E1 and E0 the exposure of the treated and of the untreated (Mantel &
    Haenszel's; Greenland & Robins 1985, eq. 6).

    Parameters
    ----------
    counts, exposure : (units, periods)
    dose : (draws, units, periods) of zeros and ones
    block : (units,) codes

    Returns
    -------
    difference, std_error : (draws,)
    """
    difference, weight = np.zeros(len(dose)), np.zeros(len(dose))
    influence = np.zeros(dose.shape[:2])
    for code in np.unique(block):
        rows = block == code
        y, e, treated = counts[rows], exposure[rows], dose[:, rows]
        exposed = [(side * e).sum(axis=1) for side in (1 - treated, treated)]
        rates = [
            _ratio((side * y).sum(axis=1), total)
            for side, total in zip((1 - treated, treated), exposed, strict=True)
        ]
        w = _ratio(exposed[0] * exposed[1], exposed[0] + exposed[1])
        difference += (w * (rates[1] - rates[0])).sum(axis=1)
        weight += w.sum(axis=1)
        pull = treated * _ratio(w, exposed[1])[:, None] * (y - rates[1][:, None] * e)
        pull -= (1 - treated) * _ratio(w, exposed[0])[:, None] * (y - rates[0][:, None] * e)
        influence[:, rows] = pull.sum(axis=2)
    safe = np.where(weight > 0, weight, np.nan)
    return difference / safe, np.sqrt((influence**2).sum(axis=1)) / safe


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
