"""Stepped wedge: units cross to the treatment in groups, one group a step (Hussey & Hughes 2007)."""

from rct.errors import AllocationError
from rct.randomization.keyed_order import Block
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
    unnamed_blocks(design, schedule.of_blocks, blocks, key="schedule.by_block")
    groups = {block: _groups(design, block, units=units) for block, units in blocks.items()}
    crossings = crossing_periods(
        max(map(len, groups.values())), baseline=schedule.baseline, step=schedule.step
    )
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
                (*sizes, *(0 for _ in crossings[len(sizes) :])),
                block=block,
                units=blocks[block],
                key="schedule.per_step",
            )
            for block, sizes in groups.items()
        },
    )


def _groups(design: Design, block: Block, *, units: int) -> tuple[int, ...]:
    """Give the sizes of a block's groups: one size for all of them, or each as declared."""
    own = for_block(design, design.schedule.of_blocks, block)
    declared = own.get("per_step", design.schedule.per_step)
    if isinstance(declared, list | tuple):
        return tuple(declared)
    size = int(declared)  # type: ignore[call-overload]
    if units % size:
        where = f"block {block_name(block)}" if block else "the roster"
        raise AllocationError(
            f"the {units} units of {where} do not cross in groups of {size}; "
            "change schedule.per_step or the roster"
        )
    return (size,) * (units // size)
