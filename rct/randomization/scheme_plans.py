"""Which scheme lays down a design, and how its units are assigned the sequences of the plan."""

from dataclasses import replace

import numpy as np

from rct.errors import AllocationError
from rct.randomization.blocked_units import BlockedUnits
from rct.randomization.crossover_order import crossover_plan
from rct.randomization.keyed_order import Numbers
from rct.randomization.mechanisms import drawn, mechanism
from rct.randomization.parallel_order import parallel_plan
from rct.randomization.plan import BlockSizes, Plan, Scheme, block_name
from rct.randomization.staggered_order import staggered_plan
from rct.randomization.stepped_wedge_order import stepped_wedge_plan
from rct.trial_tables import Design

SCHEMES: dict[str, Scheme] = {
    "parallel": parallel_plan,
    "stepped-wedge": stepped_wedge_plan,
    "staggered": staggered_plan,
    "crossover": crossover_plan,
    "shifts": parallel_plan,
}
"""How each ``schedule.kind`` is laid down."""


def planned(design: Design, blocks: BlockSizes) -> Plan:
    """Lay down the sequences and shares of a design for blocks of given sizes.

    Raises
    ------
    AllocationError
        When the kind of schedule is not built yet, there are fewer units than arms, or the units do not fit.
    """
    kind = design.schedule.kind
    if kind not in SCHEMES:
        raise AllocationError(
            f"schedule.kind = {kind} cannot be randomized yet; built are {', '.join(SCHEMES)}"
        )
    units, arms, column = sum(blocks.values()), len(design.arms.names), design.units.randomize
    if units < arms:
        raise AllocationError(
            f"the roster has {units} unit{'s' * (units > 1)} to randomize (values of {column}), fewer than "
            f"the {arms} arms"
        )
    names = [block_name(block) for block in blocks]
    if len(set(names)) < len(names):
        raise AllocationError("two blocks read the same when their values are joined by a stroke; rename one")
    return replace(SCHEMES[kind](design, blocks), drawn=drawn(design))


def assign(key: str, design_hash: str, blocked: BlockedUnits, plan: Plan) -> Numbers:
    """Assign every randomized unit the number of its sequence, block by block."""
    assigned = np.zeros(len(blocked.units), dtype=np.intp)
    draw = mechanism(plan).assignment
    for block, places, units in blocked.each_block():
        assigned[places] = draw(key, design_hash, block, units=units, shares=plan.shares[block])
    return assigned
