"""How blocks are drawn: for each mechanism one keyed draw, many draws, all draws, and their number."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rct.randomization.capped_classes import (
    circle_assignment,
    circle_draws,
    circle_space,
    every_circle_draw,
    least_of_circle,
)
from rct.randomization.factorial_cells import factorial_assignment, factorial_counts
from rct.randomization.independent_order import (
    every_independent_draw,
    independent_assignment,
    independent_draws,
    independent_space,
    least_independent,
)
from rct.randomization.keyed_order import Numbers, keyed_assignment
from rct.randomization.plan import Drawn, Plan
from rct.randomization.random_draws import (
    Draws,
    all_draws,
    random_draws,
    smallest_probability,
    space_size,
)
from rct.trial_tables import Design


@dataclass(frozen=True)
class Mechanism:
    """How every block is drawn, apart from the others; the shares are the plan's."""

    assignment: Callable[..., Numbers]
    random: Callable[..., Draws]
    every: Callable[..., Draws]
    space: Callable[..., int]
    least: Callable[..., float]


MECHANISMS: dict[Drawn, Mechanism] = {
    "by order": Mechanism(keyed_assignment, random_draws, all_draws, space_size, smallest_probability),
    "by unit": Mechanism(
        independent_assignment,
        independent_draws,
        every_independent_draw,
        independent_space,
        least_independent,
    ),
    "by cell": Mechanism(
        factorial_assignment,
        partial(random_draws, law=factorial_counts),
        partial(all_draws, law=factorial_counts),
        partial(space_size, law=factorial_counts),
        partial(smallest_probability, law=factorial_counts),
    ),
}


def mechanism(plan: Plan) -> Mechanism:
    """Give the mechanism by which the blocks of a plan are drawn."""
    if plan.drawn != "by circle":
        return MECHANISMS[plan.drawn]
    return Mechanism(
        partial(circle_assignment, groups=plan.groups),
        partial(circle_draws, groups=plan.groups),
        partial(every_circle_draw, groups=plan.groups),
        partial(circle_space, groups=plan.groups),
        partial(least_of_circle, groups=plan.groups),
    )


def drawn(design: Design) -> Drawn:
    """Say by which mechanism the blocks of a design are drawn."""
    if design.randomization.scheme == "simple":
        return "by unit"
    return "by cell" if design.arms.factors else "by order"
