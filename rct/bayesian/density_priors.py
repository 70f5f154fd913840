"""Log densities of priors in the free numbers that the sampler moves, with their derivatives."""

import math

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.machine_code import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NORMAL, GAMMA, BETA, HALF_NORMAL = range(4)


@compiled
def priors(
    x: Floats, kind: Integers, first: Floats, second: Floats, value: Floats, slope: Floats, gradient: Floats
) -> float:
    """Set the parameters, their slopes in the free numbers x, and the gradient; give the log density.

    Up to :func:`log_constants`, and with the Jacobian of the free numbers. A parameter is x where its kind is
    NORMAL (first: mean, second: sd), exp(x) where GAMMA (shape, rate) or
    HALF_NORMAL (0, sd), 1 / (1 + exp(-x)) where BETA (a, b).
    """
    total = 0.0
    for i in range(x.size):
        a, b = first[i], second[i]
        if kind[i] == NORMAL:
            z = (x[i] - a) / b
            value[i], slope[i] = x[i], 1.0
            total -= 0.5 * z * z
            gradient[i] = -z / b
        elif kind[i] == GAMMA:
            value[i] = slope[i] = math.exp(x[i])
            total += a * x[i] - b * value[i]
            gradient[i] = a - b * value[i]
        elif kind[i] == HALF_NORMAL:
            value[i] = slope[i] = math.exp(x[i])
            z = value[i] / b
            total += x[i] - 0.5 * z * z
            gradient[i] = 1 - z * z
        else:
            share = 1 / (1 + math.exp(-x[i]))
            value[i], slope[i] = share, share * (1 - share)
            larger = -math.log1p(math.exp(-abs(x[i])))  # log of the larger of share and 1 - share
            total += (a + b) * larger + (b if x[i] > 0 else a) * -abs(x[i])
            gradient[i] = a * (1 - share) - b * share
    return total


def log_constants(kind: Integers, first: Floats, second: Floats) -> float:
    """Give the logarithms of the priors' constants, added up."""
    from scipy.special import betaln, gammaln

    of_normal, of_gamma, of_beta = (kind == NORMAL) | (kind == HALF_NORMAL), kind == GAMMA, kind == BETA
    shape, rate = first[of_gamma], second[of_gamma]
    return float(
        -np.log(second[of_normal]).sum()
        - 0.5 * np.log(2 * np.pi) * of_normal.sum()
        + np.log(2) * (kind == HALF_NORMAL).sum()
        + (shape * np.log(rate) - gammaln(shape)).sum()
        - betaln(first[of_beta], second[of_beta]).sum()
    )


def middles(kind: Integers, first: Floats, second: Floats) -> Floats:
    """Give the free number in the middle of each prior: of its mean, for BETA of its odds."""
    middle = first.copy()
    middle[kind == HALF_NORMAL] = np.log(second[kind == HALF_NORMAL])
    ratio = (kind == GAMMA) | (kind == BETA)
    middle[ratio] = np.log(first[ratio] / second[ratio])
    return middle
