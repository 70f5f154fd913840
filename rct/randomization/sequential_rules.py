"""Sequential allocation: for each rule, the exact probabilities of the next arm given those before.

All in fractions, so that two programs agree to the last bit; the draws are in ``docs/allocation-bytes.md``.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor, isqrt

from rct.randomization.sequential_design import (
    BiasedCoin,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    Urn,
)

ROOT_SCALE = 10**30

Probabilities = tuple[Fraction, ...]
Arrival = tuple[int, tuple[str, ...]]
"""Somebody enrolled: number of the arm, and the levels of the design's characteristics."""


def next_arm(
    design: SequentialDesign,
    history: Sequence[Arrival],
    levels: tuple[str, ...],
    *,
    block_size: Callable[[int], int],
) -> Probabilities:
    """Give the probability of each arm for whoever comes next.

    Parameters
    ----------
    design
        The design.
    history
        Who came before, in the same stratum, in order of arrival.
    levels
        The newcomer's.
    block_size
        Size of the stratum's permuted block of a number, from 0.
    """
    rule = design.rule
    if isinstance(rule, Minimisation):
        return preferred(minimisation_scores(design, rule, history, levels), rule.p)
    counts = [sum(arm == one for arm, _ in history) for one in range(len(design.arms))]
    if isinstance(rule, PermutedBlocks):
        return _left_in_block(design, history, block_size)
    lead, zero, half, one = counts[0] - counts[1], Fraction(0), Fraction(1, 2), Fraction(1)
    if isinstance(rule, BiasedCoin):
        first = half if lead == 0 else 1 - rule.p if lead > 0 else rule.p
    elif isinstance(rule, Urn):
        balls = 2 * rule.alpha + rule.beta * sum(counts)
        first = Fraction(rule.alpha + rule.beta * counts[1], balls) if balls else half
    else:
        first = half if abs(lead) < rule.lead else zero if lead > 0 else one
    return (first, 1 - first)


def minimisation_scores(
    design: SequentialDesign, rule: Minimisation, history: Sequence[Arrival], levels: tuple[str, ...]
) -> list[Fraction]:
    """Give the imbalance that each arm would leave: the weighted sum, over factors, of that of the counts.

    Counts are of those at the newcomer's level, divided by the ratio; the measure is their range, their
    variance or its root (both with arms − 1 below), the root to 30 decimals.
    """
    weights = rule.weights or (Fraction(1),) * len(rule.factors)
    scores = [Fraction(0)] * len(design.arms)
    for factor, weight in enumerate(weights):
        alike = [arm for arm, given in history if given[factor] == levels[factor]]
        for joined in range(len(design.arms)):
            counts = [
                Fraction(alike.count(arm) + (arm == joined), share) for arm, share in enumerate(design.shares)
            ]
            scores[joined] += weight * _spread(counts, rule.imbalance)
    return scores


def preferred(scores: Sequence[Fraction], p: Fraction) -> Probabilities:
    """Share p equally among the arms of the smallest score and the rest among the others; all tied: equal."""
    best = [score == min(scores) for score in scores]
    ties, others = sum(best), len(best) - sum(best)
    if not others:
        return (Fraction(1, ties),) * ties
    return tuple(p / ties if good else (1 - p) / others for good in best)


def chosen_arm(probabilities: Probabilities, u: Fraction) -> int:
    """Give the arm a with c₍ₐ₋₁₎ ≤ u < cₐ, c the running sum of the probabilities."""
    reached = Fraction(0)
    for arm, probability in enumerate(probabilities):
        reached += probability
        if u < reached:
            return arm
    raise AssertionError("probabilities sum to one, and u is below it")


def _left_in_block(
    design: SequentialDesign, history: Sequence[Arrival], block_size: Callable[[int], int]
) -> Probabilities:
    number, start = 0, 0
    while start + block_size(number) <= len(history):
        start += block_size(number)
        number += 1
    copies = block_size(number) // sum(design.shares)
    given = [arm for arm, _ in history[start:]]
    left = [copies * share - given.count(arm) for arm, share in enumerate(design.shares)]
    return tuple(Fraction(places, sum(left)) for places in left)


def _spread(counts: Sequence[Fraction], imbalance: str) -> Fraction:
    if imbalance == "range":
        return max(counts) - min(counts)
    mean = sum(counts, Fraction(0)) / len(counts)
    variance = sum(((count - mean) ** 2 for count in counts), Fraction(0)) / (len(counts) - 1)
    if imbalance == "variance":
        return variance
    return Fraction((isqrt(floor(4 * ROOT_SCALE**2 * variance)) + 1) // 2, ROOT_SCALE)
