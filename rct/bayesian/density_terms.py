"""The log rates of all paths and periods with their derivatives, in loops that Numba compiles.

Functions ending in ``_back`` carry derivatives of the log density back from what a term gave to what it was
made of. Each adds to them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.machine_code import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
PLAIN, ZERO_SUM, WALK, SCALED, CORRELATED = range(5)


class Terms(NamedTuple):
    """The terms of the log rate.

    Attributes
    ----------
    blocks
        One row per block of coefficients: how it is made (PLAIN, …), the first of its parameters, its first
        coefficient, rows, columns, and the standard deviation of its first row, or ABSENT.
    places
        Place of every coefficient in every log rate, (outcomes, paths, periods, terms); unsigned, so that
        none is looked at twice to see whether it counts from the end.
    effect, partial
        Places of the first effect, of which there is one per outcome and arm, and of the first partial
        correlation, or ABSENT.
    coefficients
        How many there are.
    """

    blocks: Integers
    places: NDArray[np.uintp]
    effect: int
    partial: int
    coefficients: int


@compiled
def factor(value: Floats, start: int, size: int) -> Floats:
    """Give the Cholesky factor of the correlations, from partial ones on the scale from 0 to 1."""
    lower = np.zeros((size, size))
    k = start
    for i in range(size):
        left = 1.0
        for j in range(i):
            partial = 2 * value[k] - 1
            lower[i, j] = partial * left
            left *= math.sqrt(1 - partial * partial)
            k += 1
        lower[i, i] = left
    return lower


@compiled
def factor_back(value: Floats, start: int, lower_back: Floats, back: Floats) -> None:
    """Carry derivatives in the factor back to the partial correlations."""
    size = lower_back.shape[0]
    left = np.empty(size + 1)
    for i in range(size):
        first = start + i * (i - 1) // 2
        left[0] = 1.0
        for j in range(i):
            partial = 2 * value[first + j] - 1
            left[j + 1] = left[j] * math.sqrt(1 - partial * partial)
        of_left = lower_back[i, i]
        for j in range(i - 1, -1, -1):
            partial = 2 * value[first + j] - 1
            rest = math.sqrt(1 - partial * partial)
            of_partial = lower_back[i, j] * left[j] - of_left * left[j] * partial / rest
            back[first + j] += 2 * of_partial
            of_left = lower_back[i, j] * partial + of_left * rest


@compiled
def coefficients(value: Floats, terms: Terms) -> Floats:
    """Give the coefficients that the free numbers stand for."""
    made = np.empty(terms.coefficients)
    for q in range(terms.blocks.shape[0]):
        kind, start, begun = terms.blocks[q, 0], terms.blocks[q, 1], terms.blocks[q, 2]
        rows, columns, sd = terms.blocks[q, 3], terms.blocks[q, 4], terms.blocks[q, 5]
        free = columns - 1 if kind == ZERO_SUM else columns
        for r in range(rows):
            scale = value[sd + r] if sd >= 0 else 1.0
            below = 0.0
            for t in range(free):
                below += value[start + r * free + t]
                made[begun + r * columns + t] = below if kind == WALK else scale * value[start + r * free + t]
            if kind == ZERO_SUM:
                root = math.sqrt(columns)
                made[begun + r * columns + free] = -below / root
                add(made, begun + r * columns, free, -below / (root + columns))
            elif kind == WALK:
                add(made, begun + r * columns, columns, -mean(made, begun + r * columns, columns))
        if kind == CORRELATED:
            correlate(value, terms, q, made)
    return made


@compiled
def mean(values: Floats, start: int, size: int) -> float:
    """Give the mean of `size` values from `start` on."""
    total = 0.0
    for t in range(start, start + size):
        total += values[t]
    return total / size


@compiled
def add(values: Floats, start: int, size: int, summand: float) -> None:
    """Add a number to `size` values from `start` on."""
    for t in range(start, start + size):
        values[t] += summand


@compiled
def correlate(value: Floats, terms: Terms, q: int, made: Floats) -> None:
    """Set correlated cluster effects: standard deviations times a factor times standard normal effects."""
    start, begun, rows = terms.blocks[q, 1], terms.blocks[q, 2], terms.blocks[q, 3]
    columns, sd = terms.blocks[q, 4], terms.blocks[q, 5]
    lower = factor(value, terms.partial, rows)
    for r in range(rows):
        for t in range(columns):
            mixed = 0.0
            for j in range(r + 1):
                mixed += lower[r, j] * value[start + j * columns + t]
            made[begun + r * columns + t] = value[sd + r] * mixed


@compiled
def coefficients_back(value: Floats, terms: Terms, made_back: Floats, back: Floats) -> None:
    """Carry derivatives in the coefficients back to the free numbers."""
    for q in range(terms.blocks.shape[0]):
        kind, start, begun = terms.blocks[q, 0], terms.blocks[q, 1], terms.blocks[q, 2]
        rows, columns, sd = terms.blocks[q, 3], terms.blocks[q, 4], terms.blocks[q, 5]
        free = columns - 1 if kind == ZERO_SUM else columns
        if kind == CORRELATED:
            correlate_back(value, terms, q, made_back, back)
            continue
        for r in range(rows):
            first, row = start + r * free, begun + r * columns
            shift, scale = 0.0, value[sd + r] if sd >= 0 else 1.0
            if kind == WALK:
                shift = mean(made_back, row, columns)
            elif kind == ZERO_SUM:
                root = math.sqrt(columns)
                shift = mean(made_back, row, free) * free / (root + columns) + made_back[row + free] / root
            later = 0.0
            for t in range(free - 1, -1, -1):
                later += made_back[row + t] - shift
                back[first + t] += later if kind == WALK else scale * (made_back[row + t] - shift)
                if sd >= 0:
                    back[sd + r] += made_back[row + t] * value[first + t]


@compiled
def correlate_back(value: Floats, terms: Terms, q: int, made_back: Floats, back: Floats) -> None:
    """Carry derivatives in correlated cluster effects back."""
    start, begun, rows = terms.blocks[q, 1], terms.blocks[q, 2], terms.blocks[q, 3]
    columns, sd = terms.blocks[q, 4], terms.blocks[q, 5]
    lower, lower_back = factor(value, terms.partial, rows), np.zeros((rows, rows))
    for r in range(rows):
        for j in range(r + 1):
            for t in range(columns):
                derivative = made_back[begun + r * columns + t]
                standard = value[start + j * columns + t]
                back[start + j * columns + t] += value[sd + r] * lower[r, j] * derivative
                back[sd + r] += lower[r, j] * standard * derivative
                lower_back[r, j] += value[sd + r] * standard * derivative
    factor_back(value, terms.partial, lower_back, back)


@compiled
def log_rates(value: Floats, weight: Floats, terms: Terms, eta: Floats, rate: Floats) -> None:
    """Set the log rates and the rates per unit of exposure, (outcomes, paths, periods).

    A rate is a product of few factors that many rates share, so that few exponentials are computed.
    """
    outcomes, paths, periods, places = terms.places.shape
    made = coefficients(value, terms)
    factors = np.empty(made.size)
    for c in range(made.size):
        factors[c] = math.exp(made[c])
    for o in range(outcomes):
        for p in range(paths):
            for t in range(periods):
                total, product = 0.0, 1.0
                for k in range(places):
                    place = terms.places[o, p, t, k]
                    total += made[place]
                    product *= factors[place]
                eta[o, p, t], rate[o, p, t] = total, product
    add_effects(value, weight, terms, eta, rate)


@compiled
def add_effects(value: Floats, weight: Floats, terms: Terms, eta: Floats, rate: Floats) -> None:
    """Add the effects, each times its weight, to the log rates."""
    arms = weight.shape[0]
    outcomes, paths, periods = eta.shape
    for o in range(outcomes):
        own = min(o, weight.shape[1] - 1)
        for a in range(arms):
            effect = value[terms.effect + o * arms + a]
            factor_of_one = math.exp(effect)
            for p in range(paths):
                for t in range(periods):
                    dose = weight[a, own, p, t]
                    if dose != 0:
                        eta[o, p, t] += effect * dose
                        rate[o, p, t] *= factor_of_one if dose == 1 else math.exp(effect * dose)


@compiled
def log_rates_back(value: Floats, weight: Floats, terms: Terms, eta_back: Floats, back: Floats) -> None:
    """Carry derivatives in the log rates back to the parameters that they are made of."""
    outcomes, paths, periods, places = terms.places.shape
    made_back = np.zeros(terms.coefficients)
    for o in range(outcomes):
        for p in range(paths):
            for t in range(periods):
                derivative = eta_back[o, p, t]
                for k in range(places):
                    made_back[terms.places[o, p, t, k]] += derivative
    coefficients_back(value, terms, made_back, back)
    effects_back(weight, terms, eta_back, back)


@compiled
def effects_back(weight: Floats, terms: Terms, eta_back: Floats, back: Floats) -> None:
    """Carry derivatives in the log rates back to the effects."""
    arms = weight.shape[0]
    outcomes, paths, periods = eta_back.shape
    for o in range(outcomes):
        own = min(o, weight.shape[1] - 1)
        for a in range(arms):
            total = 0.0
            for p in range(paths):
                for t in range(periods):
                    total += eta_back[o, p, t] * weight[a, own, p, t]
            back[terms.effect + o * arms + a] += total
