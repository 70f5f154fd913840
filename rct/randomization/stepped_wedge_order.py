"""Stepped wedge: units cross to the treatment in groups, one group a step (Hussey & Hughes 2007)."""

from rct.errors import AllocationError
from rct.randomization.plan import BlockSizes, Plan, block_name, for_block, sized_shares, unnamed_blocks
from rct.schedule import crossing_periods, treated_from
from rct.trial_tables import Design


def stepped_wedge_plan(design: Design, blocks: BlockSizes) -> Plan:
    """Lay down one sequence a crossing, of ``per_step`` units in each block.

    Raises
    ------
    AllocationError
        When a block's units do not divide into groups, or the last group would cross after the last period.
    """
    schedule = design.schedule
    unnamed_blocks(design, schedule.by_block, blocks, key="schedule.by_block")
    group = {
        block: int(for_block(design, schedule.by_block, block).get("per_step", schedule.per_step))  # type: ignore[call-overload]
        for block in blocks
    }
    for block, units in blocks.items():
        if units % group[block]:
            where = f"block {block_name(block)}" if block else "the roster"
            raise AllocationError(
                f"the {units} units of {where} do not cross in groups of {group[block]}; "
                "change schedule.per_step or the roster"
            )
    steps = {block: units // group[block] for block, units in blocks.items()}
    crossings = crossing_periods(max(steps.values()), baseline=schedule.baseline, step=schedule.step)
    if crossings[-1] + schedule.transition > schedule.periods:
        raise AllocationError(
            f"{len(crossings)} groups cross one by one until period {crossings[-1]}, with "
            f"{schedule.transition} transition periods, but the schedule ends with period "
            f"{schedule.periods}; raise schedule.periods or schedule.per_step"
        )
    return Plan(
        sequences=tuple(
            treated_from(
                design.arms.treatments[0].name,
                crossing + schedule.transition,
                dose=design.arms.treatments[0].dose,
                periods=schedule.periods,
                transition=schedule.transition,
            )
            for crossing in crossings
        ),
        shares={
            block: sized_shares(
                tuple(group[block] if step < steps[block] else 0 for step in range(len(crossings))),
                block=block,
                units=units,
            )
            for block, units in blocks.items()
        },
    )
