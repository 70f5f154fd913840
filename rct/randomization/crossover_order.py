"""Crossover: each unit follows one of the declared sequences of arms (Jones & Kenward 2014)."""

from fractions import Fraction

from rct.randomization.plan import BlockSizes, Plan
from rct.schedule import crossed
from rct.trial_tables import Design


def crossover_plan(design: Design, blocks: BlockSizes) -> Plan:
    """Lay down the sequences of the file in equal shares.

    They are ordered as everywhere: untreated first, then by first treated period, then by arm, then as in
    the file.
    """
    schedule, arms = design.schedule, design.arms
    sequences = [
        crossed(
            stretches,
            doses=arms.doses,
            control=arms.control,
            periods=schedule.periods,
            transition=schedule.transition,
        )
        for stretches in schedule.sequences
    ]
    ordered = sorted(sequences, key=lambda sequence: (sequence.starts, arms.names.index(sequence.arm)))
    equal = tuple(Fraction(1, len(ordered)) for _ in ordered)
    return Plan(sequences=tuple(ordered), shares=dict.fromkeys(blocks, equal))
