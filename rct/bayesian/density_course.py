"""How much of its effect a treatment has in each period, where that changes with time or in steps of dose.

The formulas are those of :mod:`rct.bayesian.fading_effect` and :mod:`rct.bayesian.monotone_dose`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.machine_code import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Course(NamedTuple):
    """What the weights of an effect are made of.

    Attributes
    ----------
    doses
        (arms, outcomes or 1, paths, periods).
    since, level
        Periods since training, and the place of the dose, 0 for none, (outcomes, paths, periods).
    window, steps
        Periods over which a fading effect is averaged; the number of doses.
    effect, fading, share
        Places of the first parameter of each, ABSENT where the model has none.
    """

    doses: Floats
    since: Floats
    level: Integers
    window: int
    steps: int
    effect: int
    fading: int
    share: int


@compiled
def weights(value: Floats, course: Course) -> Floats:
    """Give the change of the log rate per unit of effect, (arms, outcomes or 1, paths, periods)."""
    arms, outcomes, paths, periods = course.doses.shape
    weight = np.zeros(course.doses.shape)
    for a in range(arms):
        for o in range(outcomes):
            if course.share >= 0:
                reached = reached_shares(value, course, o)
                for p in range(paths):
                    for t in range(periods):
                        weight[a, o, p, t] = reached[course.level[o, p, t]]
                continue
            fading = value[course.fading + o]
            average, _ = decay(fading, course.window)
            for p in range(paths):
                for t in range(periods):
                    dose = course.doses[a, o, p, t]
                    if dose != 0:
                        weight[a, o, p, t] = dose * math.exp(-fading * course.since[o, p, t]) / average
    return weight


@compiled
def decay(fading: float, window: int) -> tuple[float, float]:
    """Give the mean of exp(-fading s) over s = 0, …, window - 1, and the mean of s with it as weight."""
    total, weighted = 0.0, 0.0
    for s in range(window):
        left = math.exp(-fading * s)
        total += left
        weighted += s * left
    return total / window, weighted / total


@compiled
def reached_shares(value: Floats, course: Course, outcome: int) -> Floats:
    """Give the share of the effect that each dose has reached, from 0 at none to 1 at the highest."""
    free = course.steps - 1
    reached = np.empty(free + 2)
    left, reached[0], reached[free + 1] = 1.0, 0.0, 1.0
    for k in range(free):
        left *= 1 - value[course.share + outcome * free + k]
        reached[k + 1] = 1 - left
    return reached


@compiled
def weights_back(value: Floats, course: Course, weight: Floats, eta_back: Floats, back: Floats) -> None:
    """Carry derivatives in the log rates, through the weights, back to fading or to the shares."""
    arms, outcomes, paths, periods = weight.shape
    for o in range(outcomes):
        by_level = np.zeros(course.steps + 1)
        mean_since = decay(value[course.fading + o], course.window)[1] if course.fading >= 0 else 0.0
        for a in range(arms):
            effect = value[course.effect + o * arms + a]
            for p in range(paths):
                for t in range(periods):
                    weight_back = effect * eta_back[o, p, t]
                    if course.fading >= 0:
                        change = weight[a, o, p, t] * (mean_since - course.since[o, p, t])
                        back[course.fading + o] += weight_back * change
                    else:
                        by_level[course.level[o, p, t]] += weight_back
        if course.share >= 0:
            shares_back(value, course, o, by_level, back)


@compiled
def shares_back(value: Floats, course: Course, outcome: int, by_level: Floats, back: Floats) -> None:
    """Carry derivatives in the reached shares back to the fractions of what the steps before left."""
    free = course.steps - 1
    reached = reached_shares(value, course, outcome)
    first = course.share + outcome * free
    for k in range(free):
        for j in range(k + 1):
            back[first + j] += by_level[k + 1] * (1 - reached[k + 1]) / (1 - value[first + j])
