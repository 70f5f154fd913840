"""The keyed order: units sorted by a keyed hash of their id and cut at the counts.

Nothing depends on the order of the roster, the platform or a library's random stream: anyone re-derives an
allocation from the seed with HMAC-SHA256 (RFC 2104) alone. The bytes are laid down in
``docs/allocation-bytes.md``, sections 3, 5, 6 and 7.
"""

import hmac
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from math import lcm

import numpy as np
import numpy.typing as npt

from rct.errors import AllocationError
from rct.identifiers import fields, join

FORMAT = "rct/1"
DRAW = "assign"
BLOCK_SIZE = 64
INNER = bytes(byte ^ 0x36 for byte in range(256))
OUTER = bytes(byte ^ 0x5C for byte in range(256))

Block = tuple[str, ...]
Shares = tuple[Fraction, ...]
Numbers = npt.NDArray[np.intp]


def seed_text(seed: str | int | bytes) -> str:
    """Give the seed as the text that a certificate shows: 1 and "1" are the same seed.

    Raises
    ------
    AllocationError
        For a blank seed, or one that is neither text, integer nor bytes.
    """
    if isinstance(seed, bytes):
        return f"hex:{seed.hex()}"
    if isinstance(seed, bool) or not isinstance(seed, int | str):
        raise AllocationError(f"the seed {seed!r} is neither text, a whole number nor bytes")
    text = unicodedata.normalize("NFC", str(seed))
    if not text.strip():
        raise AllocationError(
            "the seed is blank; give a text that others will find again, such as a lottery draw"
        )
    if not text.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise AllocationError(
            "the seed holds bytes that are not UTF-8; type it in a terminal that writes UTF-8"
        )
    return text


def scores(seed: str, design_hash: str, block: Block, units: Sequence[str]) -> list[bytes]:
    """Give the keyed hashes by which units are ordered in their block.

    What they share is hashed once (RFC 2104, section 4).
    """
    key = seed.encode()
    key = (sha256(key).digest() if len(key) > BLOCK_SIZE else key).ljust(BLOCK_SIZE, b"\0")
    inner = sha256(key.translate(INNER) + join(FORMAT, design_hash, DRAW, join(*block)))
    outer = sha256(key.translate(OUTER))
    found = []
    again_inner, again_outer = inner.copy, outer.copy
    for unit in fields(units):
        within, around = again_inner(), again_outer()
        within.update(unit)
        around.update(within.digest())
        found.append(around.digest())
    return found


def keyed_counts(seed: str, design_hash: str, block: Block, *, units: int, shares: Shares) -> tuple[int, ...]:
    """Give the number of units of each sequence in a block.

    Whole parts of n·pₛ first; left-over places by systematic sampling (Madow 1949), so that every unit's
    probability of sequence s is exactly pₛ. All in fractions.
    """
    expected = [units * share for share in shares]
    if all(number.denominator == 1 for number in expected):
        return tuple(int(number) for number in expected)
    u = Fraction(int.from_bytes(keyed(seed, design_hash, "places", block, "")[:8], "big"), 2**64)
    return systematic_counts(expected, u)


def systematic_counts(expected: Sequence[Fraction], u: Fraction) -> tuple[int, ...]:
    """Round expected numbers to whole ones with the same sum, by one point u in [0, 1).

    Sequence s gets a left-over place when some integer k has c₍ₛ₋₁₎ ≤ u + k < cₛ, c the running sum of the
    fractional parts. All are multiples of 1/``scale``, so it is done in whole numbers.
    """
    scale = lcm(u.denominator, *(number.denominator for number in expected))
    point = u.numerator * (scale // u.denominator)
    counts, reached = [], 0
    for number in expected:
        whole, left = divmod(number.numerator * (scale // number.denominator), scale)
        before, reached = reached, reached + left
        counts.append(whole + (point - before) // scale - (point - reached) // scale)
    return tuple(counts)


def keyed_assignment(
    seed: str, design_hash: str, block: Block, *, units: Sequence[str], shares: Shares
) -> Numbers:
    """Give the units of one block, in byte order, their sequences: the keyed order, cut at the counts."""
    counts = keyed_counts(seed, design_hash, block, units=len(units), shares=shares)
    return in_keyed_order(seed, design_hash, block, units=units, counts=counts)


def in_keyed_order(
    seed: str, design_hash: str, block: Block, *, units: Sequence[str], counts: Sequence[int]
) -> Numbers:
    """Give the first n₀ units by score sequence 0, the next n₁ sequence 1, …; units stand in byte order."""
    found = b"".join(scores(seed, design_hash, block, units))
    ordered = np.argsort(np.frombuffer(found, dtype="S32"), kind="stable")  # equal scores: in order of id
    assigned = np.empty(len(units), dtype=np.intp)
    assigned[ordered] = np.repeat(np.arange(len(counts)), counts)
    return assigned


def keyed(seed: str, design_hash: str, draw: str, block: Block, unit: str) -> bytes:
    """Give the keyed hash of one item of one draw (``docs/allocation-bytes.md``, sections 5 and 7)."""
    message = join(FORMAT, design_hash, draw, join(*block), unit)
    return hmac.digest(seed.encode(), message, "sha256")
