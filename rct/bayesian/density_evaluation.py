"""One evaluation of a log density and its gradient, as machine code that the sampler calls by its address.

Between evaluations no Python is needed, so that chains run side by side.
"""

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import carray, types

from rct.bayesian.density_counts import Agencies, Counts, agencies, cells, officers, thinned
from rct.bayesian.density_course import Course, weights, weights_back
from rct.bayesian.density_priors import priors
from rct.bayesian.density_terms import Terms, coefficients, log_rates, log_rates_back
from rct.bayesian.machine_code import array, c_function, loaded

I8, U8, F8 = types.int64, types.uint64, types.float64
# What stands where the evaluations read: types of the fields of Terms, Course, Counts and Agencies.
PRIORS = types.Tuple([array(I8, 1), array(F8, 1), array(F8, 1)])
TERMS = types.NamedTuple([array(I8, 2), array(U8, 4), I8, I8, I8], Terms)
COURSE = types.NamedTuple([array(F8, 4), array(F8, 3), array(I8, 3), I8, I8, I8, I8, I8], Course)
COUNTS = types.NamedTuple(
    [
        array(F8, 3), array(I8, 2), array(F8, 4), array(F8, 3), array(F8, 3), array(F8, 2), array(F8, 2),
        array(F8, 3), array(F8, 4), array(F8, 4), array(F8, 4), I8, I8, I8, F8,
    ],
    Counts,
)  # fmt: skip
AGENCIES = types.NamedTuple(
    [
        array(I8, 1), array(F8, 1), array(F8, 1), array(F8, 1), array(F8, 1), array(F8, 2), array(F8, 2),
        array(F8, 1), array(F8, 1), I8, I8, I8,
    ],
    Agencies,
)  # fmt: skip
OF_OFFICERS = types.Tuple([F8, PRIORS, TERMS, COURSE, COUNTS])
OF_AGENCIES = types.Tuple([F8, PRIORS, TERMS, COURSE, AGENCIES])
SELECTED = types.Tuple([PRIORS, TERMS, array(I8, 1)])
NUMBERS = types.CPointer(F8)


class Kind(NamedTuple):
    """What a density has, and so which functions are compiled for it."""

    of_agencies: bool = False
    of_cells: bool = False
    has_injuries: bool = False
    moves: bool = False


@cache
def evaluation(kind: Kind) -> Any:
    """Give the C function of a kind of density.

    Its arguments are the number of parameters; the free numbers; where the gradient and the log density are
    to stand; where the constant, priors, terms, course and counts do. It gives 0, or 1 where there is no
    density.
    """
    of_agencies, of_cells, has_injuries, moves = kind
    stamp = _stamp()

    def evaluate(size, point, slopes, found, memory):  # type: ignore[no-untyped-def]
        if stamp == 0:
            return -1  # never; but Numba keeps code by the values that stand in it
        carray(found, 1)[0] = math.nan  # what is left where memory runs out: Numba then gives 0 all the same
        x, gradient = carray(point, size), carray(slopes, size)
        constant, prior, terms, course, counts = loaded(memory, OF_AGENCIES if of_agencies else OF_OFFICERS)
        value, slope, back = np.zeros(size), np.zeros(size), np.zeros(size)
        outcomes, paths, periods, _ = terms.places.shape
        eta, rate = np.zeros((outcomes, paths, periods)), np.zeros((outcomes, paths, periods))
        eta_back = np.zeros((outcomes, paths, periods))
        total = constant + priors(x, prior[0], prior[1], prior[2], value, slope, gradient)
        weight = weights(value, course) if moves else course.doses
        log_rates(value, weight, terms, eta, rate)
        if of_agencies:
            total += agencies(value, eta[0, 0], rate[0, 0], counts, eta_back[0, 0], back)
        elif of_cells:
            total += cells(value, eta, rate, counts, eta_back, back)
        else:
            total += officers(value, eta, rate, counts, eta_back, back)
        if has_injuries:
            total += thinned(eta, counts, eta_back)
        log_rates_back(value, weight, terms, eta_back, back)
        if moves:
            weights_back(value, course, weight, eta_back, back)
        finite = math.isfinite(total)
        for i in range(size):
            gradient[i] += back[i] * slope[i]
            finite = finite and math.isfinite(gradient[i])
        carray(found, 1)[0] = total
        return 0 if finite else 1

    return c_function(types.int64(types.uint64, NUMBERS, NUMBERS, NUMBERS, types.voidptr), evaluate)


@cache
def selection() -> Any:
    """Give the C function that turns free numbers into parameters and coefficients, and selects among them.

    Its arguments are the number of parameters and that of those selected; the free numbers; where the
    selected are to stand; where the priors, the terms and the places of the selected do, parameters before
    coefficients.
    """
    stamp = _stamp()

    def select(size, width, point, found, memory):  # type: ignore[no-untyped-def]
        if stamp == 0:
            return -1  # as above
        x, chosen = carray(point, size), carray(found, width)
        chosen[:] = math.nan  # as above
        prior, terms, places = loaded(memory, SELECTED)
        value, slope, gradient = np.zeros(size), np.zeros(size), np.zeros(size)
        priors(x, prior[0], prior[1], prior[2], value, slope, gradient)
        made = coefficients(value, terms)
        for i in range(width):
            chosen[i] = value[places[i]] if places[i] < size else made[places[i] - size]
        return 0

    return c_function(types.int64(types.uint64, types.uint64, NUMBERS, NUMBERS, types.voidptr), select)


def _stamp() -> int:
    """Give a number that changes with any file whose functions an evaluation calls."""
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("density_*.py")), folder / "machine_code.py"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()
    return 1 + int.from_bytes(digest[:6], "big")
