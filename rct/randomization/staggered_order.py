"""Staggered adoption: cohorts of declared sizes, each treated from its own period (Athey & Imbens 2022)."""

from rct.randomization.keyed_order import Block
from rct.randomization.plan import BlockSizes, Plan, for_block, sized_shares, unnamed_blocks
from rct.schedule import treated_from, untreated
from rct.trial_tables import Design, Schedule

Cohort = tuple[int, int]
"""First treated period, and the arm's number in the file's order."""


def staggered_plan(design: Design, blocks: BlockSizes) -> Plan:
    """Lay down one sequence a start and arm, after the untreated one where some are never treated.

    Raises
    ------
    AllocationError
        When the sizes of a block exceed its units, or fall short although none is to stay untreated.
    """
    unnamed_blocks(design, design.schedule.of_blocks, blocks, key="schedule.by_block")
    own = {block: block_schedule(design, block) for block in blocks}
    sizes = {
        block: _cohort_sizes(schedule, arms=len(design.arms.treatments)) for block, schedule in own.items()
    }
    cohorts = sorted({cohort for cohort_sizes in sizes.values() for cohort in cohort_sizes})
    never = any(schedule.never for schedule in own.values())
    general, treatments = design.schedule, design.arms.treatments
    shares = {}
    for block, units in blocks.items():
        counts = tuple(sizes[block].get(cohort, 0) for cohort in cohorts)
        rest = (units - sum(counts) if own[block].never else 0,) if never else ()
        shares[block] = sized_shares((*rest, *counts), block=block, units=units)
    first = (untreated(design.arms.control, general.periods),) if never else ()
    treated = (
        treated_from(
            treatments[arm].name,
            start,
            dose=treatments[arm].dose,
            periods=general.periods,
            transition=general.transition,
        )
        for start, arm in cohorts
    )
    return Plan(sequences=(*first, *treated), shares=shares)


def block_schedule(design: Design, block: Block) -> Schedule:
    """Give the schedule with this block's own starts, sizes and never in place of the general ones."""
    own = for_block(design, design.schedule.of_blocks, block)
    return Schedule.model_validate({**design.schedule.model_dump(exclude={"by_block"}), **own})


def _cohort_sizes(schedule: Schedule, *, arms: int) -> dict[Cohort, int]:
    cohorts = [(start, arm) for start in schedule.starts for arm in range(arms)]
    return dict(zip(cohorts, schedule.sizes, strict=True))
