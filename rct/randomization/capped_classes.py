"""Classes that no squad fills: staggered adoption with a cap on the units of one squad in one class.

The places of the classes are spread evenly over a circle, squads are laid side by side around it in random
order, and the circle is turned by a random angle: systematic sampling (Madow 1949), so that every unit's
probability of a class is exactly the class's share. Bytes: ``docs/allocation-bytes.md``, "Capped classes".
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product
from math import factorial, prod

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError, DataError
from rct.randomization.keyed_order import Block, Numbers, Shares, keyed, scores
from rct.randomization.plan import Plan
from rct.randomization.random_draws import (
    CHUNK,
    LARGEST_SPACE,
    BlockOfUnits,
    Draws,
    refuse_space,
)
from rct.randomization.random_draws import permutations as orders
from rct.randomization.rosters import Roster
from rct.trial_tables import Design

Circle = npt.NDArray[np.int16]


def capped(plan: Plan, roster: Roster, design: Design) -> Plan:
    """Add the squads to a plan whose classes are capped, after a check that no draw can break the cap.

    Raises
    ------
    DataError
        When a randomized unit has several squads, or a squad lies in several blocks.
    AllocationError
        When a squad is so large that some draw would exceed the cap.
    """
    schedule = design.schedule
    if schedule.cap is None or schedule.cap_by is None:
        return plan
    squads = _squads(roster, design.units.randomize, schedule.cap_by)
    members: dict[Block, Counter[str]] = {}
    for unit, block in roster.blocks.items():
        members.setdefault(block, Counter())[squads[unit]] += 1
    starts = np.array([sequence.starts for sequence in plan.sequences])
    for block, sizes in members.items():
        classes = starts[even_circle(sizes.total(), plan.shares[block])]
        for squad, size in sorted(sizes.items()):
            for start in sorted(set(classes[classes > 0].tolist())):
                most = _most_in_window(classes == start, size)
                if most > schedule.cap:
                    raise AllocationError(
                        f"{schedule.cap_by} {squad} has {size} units, of whom {most} could fall into the "
                        f"class that starts in period {start}, but schedule.cap is {schedule.cap}; raise the "
                        "cap or make the classes smaller"
                    )
    return replace(plan, groups=squads, drawn="by circle")


def even_circle(units: int, shares: Shares) -> Circle:
    """Spread the places of all sequences evenly: place j of n stands at (2j + 1) / 2n of the way around."""
    places = [
        (Fraction(2 * j + 1, 2 * int(units * share)), sequence)
        for sequence, share in enumerate(shares)
        for j in range(int(units * share))
    ]
    return np.array([sequence for _, sequence in sorted(places)], dtype=np.int16)


def circle_assignment(
    seed: str,
    design_hash: str,
    block: Block,
    *,
    units: Sequence[str],
    shares: Shares,
    groups: Mapping[str, str],
) -> Numbers:
    """Lay squads, and the units in each, in keyed order around the circle, turned by a keyed number."""
    lots = {
        squad: keyed(seed, design_hash, "groups", block, squad) for squad in {groups[unit] for unit in units}
    }
    found = scores(seed, design_hash, block, units)
    squads = [groups[unit] for unit in units]
    around = sorted(
        range(len(units)), key=lambda i: (lots[squads[i]], squads[i].encode(), found[i], units[i].encode())
    )
    turn = int.from_bytes(keyed(seed, design_hash, "places", block, "")[:8], "big") * len(units) >> 64
    assigned = np.empty(len(units), dtype=np.intp)
    assigned[around] = np.roll(even_circle(len(units), shares), -turn)
    return assigned


def circle_draws(
    blocks: Sequence[BlockOfUnits], *, n: int, seed: int | np.random.SeedSequence, groups: Mapping[str, str]
) -> Draws:
    """Draw n allocations: (n, units), unit columns as in ``blocks``."""
    generator = np.random.default_rng(seed)
    draws = np.empty((n, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    for columns, shares in blocks:
        circle, squads = even_circle(len(columns), shares), _codes(columns, groups)
        for first in range(0, n, CHUNK):
            rows = len(draws[first : first + CHUNK])
            side = generator.permuted(np.tile(np.arange(squads.max() + 1), (rows, 1)), axis=1)
            around = np.argsort(side[:, squads] + generator.random((rows, len(columns))), axis=1)
            turns = generator.integers(len(columns), size=(rows, 1))
            part = np.empty((rows, len(columns)), dtype=np.int16)
            np.put_along_axis(part, around, circle[(np.arange(len(columns)) + turns) % len(columns)], axis=1)
            draws[first : first + CHUNK, columns] = part
    return draws


def every_circle_draw(blocks: Sequence[BlockOfUnits], *, groups: Mapping[str, str]) -> Draws:
    """Give every order and turn of every block, so that all rows are equally probable.

    Raises
    ------
    AllocationError
        When there would be more than two million rows.
    """
    rows = prod(_circle_rows(columns, groups) for columns, _ in blocks)
    if rows > LARGEST_SPACE:
        refuse_space(rows)
    parts = [np.array(list(_turns(columns, shares, groups)), dtype=np.int16) for columns, shares in blocks]
    draws = np.empty((rows, sum(len(columns) for columns, _ in blocks)), dtype=np.int16)
    repeat = rows
    for (columns, _), part in zip(blocks, parts, strict=True):
        repeat //= len(part)
        draws[:, columns] = part[(np.arange(rows) // repeat) % len(part)]
    return draws


def circle_space(blocks: Sequence[BlockOfUnits], *, groups: Mapping[str, str]) -> int:
    """Count the distinct allocations; where they are too many to enumerate, a number that they exceed."""
    return prod(_distinct(columns, shares, groups) for columns, shares in blocks)


def least_of_circle(blocks: Sequence[BlockOfUnits], *, groups: Mapping[str, str]) -> float:
    """Give the probability of the least probable allocation; one above it where there are too many."""
    if prod(_circle_rows(columns, groups) for columns, _ in blocks) > LARGEST_SPACE:
        return float(Fraction(1, circle_space(blocks, groups=groups)))
    rows = every_circle_draw(blocks, groups=groups)
    return float(np.unique(rows, axis=0, return_counts=True)[1].min() / len(rows))


def _squads(roster: Roster, randomized: str, column: str) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for unit, squad in zip(roster.frame[randomized].tolist(), roster.frame[column].tolist(), strict=True):
        found.setdefault(unit, set()).add(squad)
    several = [unit for unit, squads in found.items() if len(squads) > 1]
    if several:
        raise DataError(f"roster: {column} varies within {randomized} {several[0]}; the cap needs one value")
    squads = {unit: found[unit].pop() for unit in roster.blocks}
    where: dict[str, set[Block]] = {}
    for unit, squad in squads.items():
        where.setdefault(squad, set()).add(roster.blocks[unit])
    torn = sorted(squad for squad, blocks in where.items() if len(blocks) > 1)
    if torn:
        raise DataError(f"roster: {column} {torn[0]} lies in several blocks; a cap holds within one block")
    return squads


def _most_in_window(places: npt.NDArray[np.bool_], size: int) -> int:
    passed = np.concatenate([[0], np.cumsum(np.concatenate([places, places[:size]]))])
    return int((passed[size:] - passed[:-size])[: len(places)].max())


def _codes(columns: npt.NDArray[np.intp], groups: Mapping[str, str]) -> npt.NDArray[np.intp]:
    """Number the squads of a block's units; columns are positions among the units in byte order."""
    names = [groups[unit] for unit in sorted(groups)]
    return np.unique([names[column] for column in columns], return_inverse=True)[1]


def _circle_rows(columns: npt.NDArray[np.intp], groups: Mapping[str, str]) -> int:
    sizes = np.bincount(_codes(columns, groups)).tolist()
    return len(columns) * factorial(len(sizes)) * prod(map(factorial, sizes))


def _turns(
    columns: npt.NDArray[np.intp], shares: Shares, groups: Mapping[str, str]
) -> Iterator[npt.NDArray[np.int16]]:
    codes, circle = _codes(columns, groups), even_circle(len(columns), shares)
    squads = [np.flatnonzero(codes == squad).tolist() for squad in range(codes.max() + 1)]
    for side in permutations(squads):
        for inner in product(*map(permutations, side)):
            around = np.concatenate([list(squad) for squad in inner])
            for turn in range(len(columns)):
                row = np.empty(len(columns), dtype=np.int16)
                row[around] = np.roll(circle, -turn)
                yield row


def _distinct(columns: npt.NDArray[np.intp], shares: Shares, groups: Mapping[str, str]) -> int:
    if _circle_rows(columns, groups) <= LARGEST_SPACE:
        return len(np.unique(np.array(list(_turns(columns, shares, groups))), axis=0))
    sizes, circle = np.bincount(_codes(columns, groups)), even_circle(len(columns), shares)
    windows = np.split(circle, np.cumsum(sizes)[:-1])
    return prod(orders(tuple(np.bincount(window).tolist())) for window in windows)
