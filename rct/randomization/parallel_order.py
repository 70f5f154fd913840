"""Parallel arms: complete, blocked and clustered randomization to the control and one or more treatments."""

from fractions import Fraction

from rct.randomization.keyed_order import Block, Shares
from rct.randomization.plan import BlockSizes, Plan, for_block, unnamed_blocks
from rct.schedule import treated_from, untreated
from rct.trial_tables import Design
from rct.trial_values import exact_share


def parallel_plan(design: Design, blocks: BlockSizes) -> Plan:
    """Lay down one sequence an arm, the control first, treated from the first period after the baseline.

    A cell of a trial of shifts has a single period, its shift.
    """
    schedule, arms = design.schedule, design.arms
    periods = 1 if schedule.kind == "shifts" else schedule.periods
    starts = schedule.baseline + 1 + schedule.transition
    treated = (
        treated_from(arm.name, starts, dose=arm.dose, periods=periods, transition=schedule.transition)
        for arm in arms.treatments
    )
    unnamed_blocks(design, arms.probabilities.by_block, blocks, key="arms.probabilities.by_block")
    return Plan(
        sequences=(untreated(arms.control, periods), *treated),
        shares={block: arm_shares(design, block) for block in blocks},
    )


def arm_shares(design: Design, block: Block) -> Shares:
    """Give the shares of the arms in a block: its own, the general ones, or equal ones; exact."""
    arms = design.arms
    own = for_block(design, arms.probabilities.by_block, block)
    named = {arm: exact_share(share) for arm, share in own.items()} or arms.probabilities.by_arm
    if not named:
        return tuple(Fraction(1, len(arms.names)) for _ in arms.names)
    left = 1 - sum(named.values(), Fraction(0))
    return tuple(named.get(arm, left) for arm in arms.names)
