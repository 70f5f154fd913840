"""What a scheme lays down before anything is drawn: the sequences, and each block's share of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from rct.errors import AllocationError
from rct.randomization.keyed_order import Block, Shares
from rct.schedule import Sequence
from rct.trial_tables import Design

Drawn = Literal["by order", "by unit", "by cell", "by circle"]
BlockSizes = Mapping[Block, int]
Scheme = Callable[[Design, BlockSizes], "Plan"]


@dataclass(frozen=True)
class Plan:
    """Sequences in their order, for each block the exact share of its units in each, and how it is drawn.

    Declared sizes are shares that leave no remainder, so one rule serves all schedules. ``groups`` gives
    the squad of each unit where classes are capped.
    """

    sequences: tuple[Sequence, ...]
    shares: Mapping[Block, Shares]
    drawn: Drawn = "by order"
    groups: Mapping[str, str] = field(default_factory=dict)


def block_name(block: Block) -> str:
    """Name a block in messages and tables: its values joined by a stroke, "" where there is none."""
    return "/".join(block)


def sized_shares(sizes: tuple[int, ...], *, block: Block, units: int, key: str = "schedule.sizes") -> Shares:
    """Turn declared sizes into shares of a block.

    Raises
    ------
    AllocationError
        When the sizes do not sum to the units of the block.
    """
    if sum(sizes) != units or min(sizes) < 0:
        where = f"block {block_name(block)}" if block else "the roster"
        raise AllocationError(
            f"the sizes {', '.join(map(str, sizes))} sum to {sum(sizes)}, but {where} has {units} units to "
            f"randomize; change {key}, or say what differs in [[schedule.by_block]]"
        )
    return tuple(Fraction(size, units) for size in sizes)


def for_block(design: Design, tables: tuple[Mapping[str, object], ...], block: Block) -> dict[str, object]:
    """Give the keys that a ``by_block`` table holds for this block; none where no table names it."""
    columns = design.units.block
    for table in tables:
        if tuple(str(table[column]) for column in columns) == block[: len(columns)]:
            return {key: value for key, value in table.items() if key not in columns}
    return {}


def unnamed_blocks(
    design: Design, tables: tuple[Mapping[str, object], ...], blocks: BlockSizes, *, key: str
) -> None:
    """Refuse a ``by_block`` table whose block no unit of the roster is in.

    Raises
    ------
    AllocationError
        Naming the block, for a misspelt one would otherwise get the general rule.
    """
    columns = design.units.block
    for table in tables:
        named = tuple(str(table[column]) for column in columns)
        if named not in {block[: len(columns)] for block in blocks}:
            raise AllocationError(
                f"[[{key}]] describes the block {block_name(named)}, which no unit of the roster is in; "
                f"the blocks are {', '.join(sorted(map(block_name, blocks)))}"
            )
