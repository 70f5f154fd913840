"""Randomized units and their blocks as numbers, so that a million units are grouped without a lookup each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rct.randomization.keyed_order import Block, Numbers


@dataclass(frozen=True, eq=False)
class BlockedUnits:
    """Units in byte order, the distinct blocks in byte order, and each unit's number among the blocks."""

    units: list[str]
    blocks: list[Block]
    numbers: Numbers

    @classmethod
    def of(cls, blocks: Mapping[str, Block]) -> "BlockedUnits":
        """Number the blocks of units that are in byte order."""
        distinct = sorted(set(blocks.values()))
        number = {block: place for place, block in enumerate(distinct)}
        found = map(number.__getitem__, blocks.values())
        return cls(list(blocks), distinct, np.fromiter(found, dtype=np.intp, count=len(blocks)))

    @property
    def by_unit(self) -> dict[str, Block]:
        """The block of each unit."""
        own = map(self.blocks.__getitem__, self.numbers.tolist())
        return dict(zip(self.units, own, strict=True))

    @property
    def sizes(self) -> list[int]:
        """Units in each block."""
        sizes: list[int] = np.bincount(self.numbers, minlength=len(self.blocks)).tolist()
        return sizes

    def each_block(self) -> Iterator[tuple[Block, Numbers, list[str]]]:
        """Give each block with the places of its units among all, and the units; both in byte order."""
        order = np.argsort(self.numbers, kind="stable")
        units, end = np.array(self.units, dtype=object), 0
        for block, size in zip(self.blocks, self.sizes, strict=True):
            start, end = end, end + size
            places = order[start:end]
            yield block, places, units[places].tolist()
