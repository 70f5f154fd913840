"""Log-likelihoods of counts with their derivatives in log rates, in loops that Numba compiles.

The formulas are those of :mod:`rct.bayesian.marginal_poisson`, :mod:`rct.bayesian.overdispersed_cells` and
:mod:`rct.bayesian.injuries_within_force`. Derivatives are added to those in ``eta_back`` and ``back``.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.machine_code import compiled
from rct.bayesian.model_inputs import Inputs
from rct.prior_words import LINK_BEND

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
HALF_LOG_TAU = 0.9189385332046727


class Counts(NamedTuple):
    """What was counted: arrays of :class:`rct.bayesian.totals.Totals`, by outcome, and parameters' places.

    ``total`` and ``times`` are the distinct counts and how often each occurs: of units, or of unit-periods
    where the model has a ``dispersion``. Arrays that a model lacks are empty.
    """

    counts: Floats
    path: Integers
    exposure: Floats
    units: Floats
    events: Floats
    total: Floats
    times: Floats
    injuries: Floats
    cell_events: Floats
    cell_zeros: Floats
    cell_units: Floats
    heterogeneity: int
    dispersion: int
    zero_share: int
    bend: float


def counts_of(inputs: Inputs, start: Mapping[str, int]) -> Counts:
    """Take the arrays of a model out of its inputs; `start` has the places of its parameters."""
    tables = inputs.tables
    of_cells = "cell_total" in tables
    none, no_cells = np.zeros((0, 0, 0)), np.zeros((0, 0, 0, 0))
    return Counts(
        counts=np.ascontiguousarray(tables["counts"]),
        path=np.ascontiguousarray(tables["path"]),
        exposure=np.ascontiguousarray(tables["exposure"]),
        units=np.ascontiguousarray(tables["units"]),
        events=np.ascontiguousarray(tables["events"]),
        total=np.ascontiguousarray(tables["cell_total" if of_cells else "total"]),
        times=np.ascontiguousarray(tables["cell_times" if of_cells else "total_units"]),
        injuries=np.ascontiguousarray(tables.get("injuries", none)),
        cell_events=np.ascontiguousarray(tables.get("cell_events", no_cells)),
        cell_zeros=np.ascontiguousarray(tables.get("cell_zeros", no_cells)),
        cell_units=np.ascontiguousarray(tables.get("cell_units", no_cells)),
        heterogeneity=start["heterogeneity"],
        dispersion=start["dispersion"],
        zero_share=start["zero_share"],
        bend=float(LINK_BEND),
    )


@compiled
def log_gamma(x: float) -> tuple[float, float]:
    """Give log Gamma(x) and its derivative, x > 0.

    By Gamma(x + 8) = x (x + 1) … (x + 7) Gamma(x) and Stirling's series above 8, whose first term left out
    is below 1e-15 (Abramowitz & Stegun 1964, 6.1.15, 6.1.41, 6.3.18).
    """
    shifted = x + 8
    inverse = 1 / shifted
    square = inverse * inverse
    series = 1 / 1188 + square * (-691 / 360360 + square / 156)
    series = 1 / 12 + square * (-1 / 360 + square * (1 / 1260 + square * (-1 / 1680 + square * series)))
    slope = -1 / 240 + square * (1 / 132 + square * (-691 / 32760 + square / 12))
    slope = square * (1 / 12 + square * (-1 / 120 + square * (1 / 252 + square * slope)))
    product, sum_of_inverses = 1.0, 0.0
    for k in range(8):
        product *= x + k
        sum_of_inverses += 1 / (x + k)
    log_shifted = math.log(shifted)
    value = (shifted - 0.5) * log_shifted - shifted + HALF_LOG_TAU + series * inverse - math.log(product)
    return value, log_shifted - 0.5 * inverse - slope - sum_of_inverses


@compiled
def gamma_ratios(size: float, total: Floats, times: Floats) -> tuple[float, float, float]:
    """Give the sum of times · log [Gamma(size + total) / Gamma(size)], its slope in size, and all times."""
    value = slope = all_times = 0.0
    at_size, slope_at_size = log_gamma(size)
    for h in range(total.size):
        all_times += times[h]
        if times[h] != 0 and total[h] != 0:
            there, slope_there = log_gamma(size + total[h])
            value += times[h] * (there - at_size)
            slope += times[h] * (slope_there - slope_at_size)
    return value, slope, all_times


@compiled
def weighted_sum(weights: Floats, values: Floats) -> float:
    """Give the sum of products, in four sums that a processor adds side by side."""
    a = b = c = d = 0.0
    whole = values.size - values.size % 4
    for t in range(0, whole, 4):
        a += weights[t] * values[t]
        b += weights[t + 1] * values[t + 1]
        c += weights[t + 2] * values[t + 2]
        d += weights[t + 3] * values[t + 3]
    for t in range(whole, values.size):
        a += weights[t] * values[t]
    return (a + b) + (c + d)


@compiled
def officers(
    value: Floats, eta: Floats, rate: Floats, counts: Counts, eta_back: Floats, back: Floats
) -> float:
    """Give the log-likelihood of units whose gamma effects are integrated out, or of plain Poisson counts."""
    total = 0.0
    for o in range(counts.counts.shape[0]):
        total += of_units(o, value, rate[o], counts, eta_back[o], back)
        total += of_log_rates(counts.counts[o], eta[o], eta_back[o])
    return total


@compiled
def of_log_rates(count: Floats, eta: Floats, eta_back: Floats) -> float:
    """Give the sum of counts times log rates, and add its derivative."""
    total = 0.0
    for p in range(eta.shape[0]):
        for t in range(eta.shape[1]):
            total += count[p, t] * eta[p, t]
            eta_back[p, t] += count[p, t]
    return total


@compiled
def of_units(o: int, value: Floats, rate: Floats, counts: Counts, eta_back: Floats, back: Floats) -> float:
    """Give what the expected events of one outcome's units add to the log-likelihood."""
    strips, width = counts.units.shape[1:]
    has_effects = counts.heterogeneity >= 0
    phi = value[counts.heterogeneity + o] if has_effects else 0.0
    total = slope = 0.0
    rate_back = np.zeros(rate.shape)
    for s in range(strips):
        path = counts.path[o, s]
        for w in range(width):
            units, exposure = counts.units[o, s, w], counts.exposure[o, s, w]
            if units == 0:
                continue
            expected = weighted_sum(exposure, rate[path])
            share = units
            if has_effects:
                weight = phi * units + counts.events[o, s, w]
                log_sum = math.log(phi + expected)
                share = weight / (phi + expected)
                total -= weight * log_sum
                slope -= units * log_sum + share
            else:
                total -= units * expected
            for t in range(exposure.size):
                rate_back[path, t] -= share * exposure[t]
    for p in range(rate.shape[0]):
        for t in range(rate.shape[1]):
            eta_back[p, t] += rate_back[p, t] * rate[p, t]
    if has_effects:
        ratios, slope_of_ratios, units = gamma_ratios(phi, counts.total[o], counts.times[o])
        total += ratios + units * phi * math.log(phi)
        back[counts.heterogeneity + o] += slope + slope_of_ratios + units * (math.log(phi) + 1)
    return total


@compiled
def thinned(eta: Floats, counts: Counts, eta_back: Floats) -> float:
    """Give the binomial log-likelihood of injuries within force, up to its coefficient."""
    total = 0.0
    injuries, paths, periods = counts.injuries.shape
    for j in range(injuries):
        for p in range(paths):
            for t in range(periods):
                hurt, unhurt = counts.injuries[j, p, t], counts.counts[0, p, t] - counts.injuries[j, p, t]
                if hurt + unhurt == 0:
                    continue
                bent = -counts.bend * eta[j + 1, p, t]
                small = math.exp(-abs(bent))
                log_probability = -(max(bent, 0.0) + math.log1p(small)) / counts.bend
                complement = -math.expm1(log_probability)
                total += hurt * log_probability + unhurt * math.log(complement)
                slope = (1.0 if bent > 0 else small) / (1 + small)
                eta_back[j + 1, p, t] += slope * (hurt - unhurt * (1 - complement) / complement)
    return total


@compiled
def cells(value: Floats, eta: Floats, rate: Floats, counts: Counts, eta_back: Floats, back: Floats) -> float:
    """Give the log-likelihood of negative binomial unit-periods, with surplus zeros where there are any."""
    total = 0.0
    for o in range(counts.counts.shape[0]):
        total += of_cells(o, value, rate[o], counts, eta_back[o], back)
        total += of_log_rates(counts.counts[o], eta[o], eta_back[o])
    return total


@compiled
def of_cells(o: int, value: Floats, rate: Floats, counts: Counts, eta_back: Floats, back: Floats) -> float:
    """Give what the means of one outcome's unit-periods add to the log-likelihood."""
    surplus = counts.zero_share >= 0
    pi = value[counts.zero_share + o] if surplus else 0.0
    phi = value[counts.dispersion + o]
    total, slope, _ = gamma_ratios(phi, counts.total[o], counts.times[o])
    pi_slope = 0.0
    _, strips, width, periods = counts.exposure.shape
    for s in range(strips):
        path = counts.path[o, s]
        for w in range(width):
            for t in range(periods):
                units = counts.cell_units[o, s, w, t]
                if units == 0:
                    continue
                mean = counts.exposure[o, s, w, t] * rate[path, t]
                zeros = counts.cell_zeros[o, s, w, t] if surplus else 0.0
                events = counts.cell_events[o, s, w, t]
                log_sum = math.log(phi + mean)
                log_ratio = math.log(phi) - log_sum
                ratio_slope = 1 / phi - 1 / (phi + mean)
                # d log_ratio / d phi, and with it d (phi log_ratio) / d phi.
                of_power = log_ratio + phi * ratio_slope
                ordinary = units - zeros
                total += phi * ordinary * log_ratio - events * log_sum
                slope += ordinary * of_power - events / (phi + mean)
                mean_back = -(phi * ordinary + events) / (phi + mean)
                if zeros > 0:
                    empty = math.exp(phi * log_ratio)
                    chance = pi + (1 - pi) * empty
                    total += zeros * math.log(chance)
                    of_empty = zeros * (1 - pi) * empty / chance
                    slope += of_empty * of_power
                    mean_back -= of_empty * phi / (phi + mean)
                    pi_slope += zeros * (1 - empty) / chance
                if surplus:
                    total += ordinary * math.log1p(-pi)
                    pi_slope -= ordinary / (1 - pi)
                eta_back[path, t] += mean_back * mean
    back[counts.dispersion + o] += slope
    if surplus:
        back[counts.zero_share + o] += pi_slope
    return total


class Agencies(NamedTuple):
    """What agencies counted: arrays of :func:`rct.bayesian.agency_likelihood.agency_tables`.

    ``node`` and ``weight`` are those of Gauss-Hermite quadrature, the weights times exp(node²); the last
    three are the places of parameters, ``effect`` ABSENT where the changes are taken around zero.
    """

    profile: Integers
    events: Floats
    after: Floats
    agencies: Floats
    by_period: Floats
    exposure_before: Floats
    exposure_after: Floats
    node: Floats
    weight: Floats
    effect: int
    agency_sd: int
    heterogeneity: int


@compiled
def agencies(
    value: Floats, eta: Floats, rate: Floats, counts: Agencies, eta_back: Floats, back: Floats
) -> float:
    """Give the log-likelihood of agencies whose rates and changes are integrated out."""
    profiles, periods = counts.exposure_before.shape
    before, before_back = np.empty(profiles), np.zeros(profiles)
    after, after_back = np.empty(profiles), np.zeros(profiles)
    for p in range(profiles):
        before[p] = weighted_sum(counts.exposure_before[p], rate)
        after[p] = weighted_sum(counts.exposure_after[p], rate)
    phi = value[counts.heterogeneity]
    total, phi_back, units = gamma_ratios(phi, counts.events, counts.agencies)
    total += units * phi * math.log(phi)
    phi_back += units * (math.log(phi) + 1)
    for i in range(counts.events.size):
        p = counts.profile[i]
        found, by_before, by_after, by_phi = change_integrated(i, value, before[p], after[p], counts, back)
        total += counts.agencies[i] * found
        before_back[p] += counts.agencies[i] * by_before
        after_back[p] += counts.agencies[i] * by_after
        phi_back += counts.agencies[i] * by_phi
    back[counts.heterogeneity] += phi_back
    for t in range(periods):
        by_rate = 0.0
        for p in range(profiles):
            by_rate += counts.exposure_before[p, t] * before_back[p]
            by_rate += counts.exposure_after[p, t] * after_back[p]
        total += counts.by_period[t] * eta[t]
        eta_back[t] += counts.by_period[t] + by_rate * rate[t]
    return total


@compiled
def change_integrated(
    i: int, value: Floats, before: float, after: float, counts: Agencies, back: Floats
) -> tuple[float, float, float, float]:
    """Integrate over the change of one kind of agency; give the logarithm and its derivatives.

    Those in expected events before and after and in phi are given, those in the changes' mean and sd added.
    A derivative of the logarithm of an integral is the mean of the integrand's logarithm's.
    """
    phi, sd = value[counts.heterogeneity], value[counts.agency_sd]
    effect = value[counts.effect] if counts.effect >= 0 else 0.0
    power, later = phi + counts.events[i], counts.after[i]
    if after == 0:
        return -power * math.log(phi + before), -power / (phi + before), 0.0, (
            -math.log(phi + before) - power / (phi + before)
        )  # fmt: skip
    share = (later + 0.5) / (power + 1)
    information = (power + 1) * share * (1 - share)
    precision = information + 1 / sd**2
    own = math.log(share / (1 - share)) + math.log(phi + before) - math.log(after)
    centre, spread = (information * own + effect / sd**2) / precision, precision**-0.5
    highest = later * centre - power * math.log(phi + before + math.exp(centre) * after)
    highest -= 0.5 * ((centre - effect) / sd) ** 2
    mass = by_before = by_after = of_log = first = second = 0.0
    for k in range(counts.node.size):
        change = centre + math.sqrt(2.0) * spread * counts.node[k]
        factor, away = math.exp(change), change - effect
        mean = phi + before + factor * after
        log_mean = math.log(mean)
        log_density = later * change - power * log_mean - 0.5 * (away / sd) ** 2
        density = counts.weight[k] * math.exp(log_density - highest)
        mass += density
        by_before += density / mean
        by_after += density * factor / mean
        of_log += density * log_mean
        first += density * away
        second += density * away * away
    if counts.effect >= 0:
        back[counts.effect] += counts.agencies[i] * first / mass / sd**2
    back[counts.agency_sd] += counts.agencies[i] * (second / mass / sd**3 - 1 / sd)
    found = highest + math.log(mass) + math.log(spread / sd) - 0.5 * math.log(math.pi)
    by_before *= -power / mass
    return found, by_before, -power * by_after / mass, by_before - of_log / mass
