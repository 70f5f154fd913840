"""Where a simulated power reaches a target: a search that knows its own noise.

Power against a distance x (a log ratio, the square root of a number of units) is close to a probit line, for
a normal test exactly so far from the null. Fresh replicates are looked at where the line now fitted meets the
target, until its root is known to the precision that was asked. The root of a fitted dose-response curve
and its standard error by the delta method: Morgan 1992, Analysis of Quantal Response Data, section 2.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.power.study import BLOCK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FEWEST = 8 * BLOCK
NEAR = 1.3
Z = 1.959963984540054


@dataclass(frozen=True)
class Look:
    """Replicates looked at: distance, how many found the effect, how many there were."""

    x: float
    hits: int
    sims: int

    @property
    def power(self) -> float:
        """Share that found it."""
        return self.hits / self.sims

    @property
    def mc_error(self) -> float:
        """Monte-Carlo standard error of the share."""
        return math.sqrt(self.power * (1 - self.power) / self.sims)


@dataclass(frozen=True)
class Root:
    """Where power reaches the target.

    Attributes
    ----------
    x, low, high : float
        The distance, and its 95 % interval.
    look : Look
        The replicates nearest to it.
    sims : int
        All replicates looked at.
    """

    x: float
    low: float
    high: float
    look: Look
    sims: int


def probit_root(
    look: Callable[[float, int], Look],
    *,
    target: float,
    start: float,
    largest: float,
    smallest: float,
    precision: float,
    most: int,
    known: "tuple[Look, ...]" = (),
) -> Root | None:
    """Search the distance at which power reaches a target.

    Parameters
    ----------
    look : callable
        Gives that many fresh replicates at a distance.
    target : float
    start, largest, smallest : float
        The first distance looked at, and the ends beyond which none is.
    precision : float
        Half the width of the 95 % interval that ends the search, as a share of the distance.
    most : int
        Replicates after which it ends in any case, with the error it has then; a look has 64 at least.
    known : tuple of Look
        Looks that were taken for another purpose.

    Returns
    -------
    Root or None
        None where even the largest distance is clearly not enough.
    """
    looks = list(known)
    spent = 0

    def take(x: float, sims: int) -> Look:
        nonlocal spent
        found = look(x, max(min(sims, most - spent), BLOCK))
        spent += found.sims
        looks.append(found)
        return found

    if not _bracketed(take, looks, target=target, start=start, largest=largest, smallest=smallest):
        return None
    least = min(looks, key=lambda one: one.x)
    if least.x <= smallest and least.power - 3 * least.mc_error >= target:
        return Root(smallest, smallest, smallest, least, sum(one.sims for one in looks))
    sims = BLOCK
    while True:
        fitted, error = _fitted_root(looks, target)
        if fitted >= largest and _clearly_below(looks, largest, target):
            return None
        x = min(max(fitted, smallest), largest)
        known_well = Z * error <= precision * x and sum(one.sims for one in looks) >= FEWEST
        if known_well or spent >= most:
            nearest = min(looks, key=lambda one: (abs(one.x - x), -one.sims))
            total = sum(one.sims for one in looks)
            return Root(x, max(x - Z * error, 0.0), x + Z * error, nearest, total)
        take(x, sims)
        sims = min(2 * sims, 16 * BLOCK)


def _bracketed(
    take: Callable[[float, int], Look],
    looks: list[Look],
    *,
    target: float,
    start: float,
    largest: float,
    smallest: float,
) -> bool:
    """Look until there is one on each side of the target, or at an end; say whether the target is reached."""
    if not looks:
        take(start, BLOCK)
    while max(one.power for one in looks) < target:
        x = max(one.x for one in looks)
        if x >= largest:
            best = max(looks, key=lambda one: one.x)
            return best.power + 3 * max(best.mc_error, 1 / best.sims) >= target
        take(min(2 * x, largest), BLOCK)
    while min(one.power for one in looks) >= target:
        x = min(one.x for one in looks)
        if x <= smallest:
            return True
        take(max(x / 2, smallest), BLOCK)
    return True


def _clearly_below(looks: list[Look], x: float, target: float) -> bool:
    """Say whether all replicates looked at there together are three errors and more below the target."""
    there = [one for one in looks if one.x >= x]
    if not there:
        return False
    together = Look(x, sum(one.hits for one in there), sum(one.sims for one in there))
    return together.power + 3 * max(together.mc_error, 1 / together.sims) < target


def _fitted_root(looks: list[Look], target: float) -> tuple[float, float]:
    """Give where the probit line through the looks near the target meets it, and its standard error."""
    import numpy as np
    from scipy.special import ndtri

    z = ndtri(target)
    x = np.array([one.x for one in looks])
    hits = np.array([one.hits for one in looks], dtype=float)
    sims = np.array([one.sims for one in looks], dtype=float)
    smoothed = ndtri((hits + 0.5) / (sims + 1))
    near = np.abs(smoothed - z) < NEAR
    if len(np.unique(x[near])) < 2:
        near = np.ones(len(x), dtype=bool)
    if len(np.unique(x[near])) < 2:
        return float(x[0]), math.inf
    (a, b), covariance = _probit_fit(x[near], hits[near], sims[near], smoothed[near])
    if b <= 0:  # noise alone: the line falls
        return float(np.average(x[near], weights=sims[near])), math.inf
    root = (z - a) / b
    slope = np.array([-1 / b, -root / b])
    return float(root), float(np.sqrt(slope @ covariance @ slope))


def _probit_fit(
    x: "npt.NDArray[np.float64]",
    hits: "npt.NDArray[np.float64]",
    sims: "npt.NDArray[np.float64]",
    smoothed: "npt.NDArray[np.float64]",
) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
    """Maximum likelihood of Φ(a + b x) by Fisher scoring; coefficients and their covariance."""
    import numpy as np
    from scipy.special import ndtr

    design = np.stack([np.ones(len(x)), x], axis=1)
    beta = np.linalg.lstsq(design * np.sqrt(sims)[:, None], smoothed * np.sqrt(sims), rcond=None)[0]
    information = np.eye(2)
    for _ in range(50):
        eta = np.clip(design @ beta, -5, 5)
        chance, density = ndtr(eta), np.exp(-(eta**2) / 2) / math.sqrt(2 * math.pi)
        weight = sims * density**2 / (chance * (1 - chance))
        information = design.T @ (design * weight[:, None])
        score = design.T @ (density * (hits - sims * chance) / (chance * (1 - chance)))
        step = np.linalg.lstsq(information, score, rcond=None)[0]
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return beta, np.asarray(np.linalg.pinv(information), dtype=float)
