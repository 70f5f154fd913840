"""Verification of a ledger: against itself, published heads, and the seed once that is public."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike

from rct.errors import AllocationError
from rct.randomization.ledger import Ledger, Receipt
from rct.randomization.ledger_entries import Content, Entry, chained, design_of, drawn_arm, seed_commitment
from rct.randomization.sequential_design import SequentialDesign

KEYS = {
    "open": {"kind", "number", "format", "design", "seed_commitment", "at"},
    "enrol": {"kind", "number", "unit", "levels", "arm", "at"},
    "close": {"kind", "number", "seed", "at"},
}


@dataclass(frozen=True)
class LedgerVerification:
    """What a verification found.

    ``ok`` when nothing differs; ``problems`` name each cause; ``does_not_prove`` says what could not be
    detected with what was given; ``head`` is the last entry's.
    """

    ok: bool
    problems: tuple[str, ...]
    does_not_prove: tuple[str, ...]
    enrolled: int
    head: Receipt | None


def verify_ledger(
    path: str | PathLike[str], heads: Iterable[str | Receipt] = (), *, seed: str | None = None
) -> LedgerVerification:
    """Check a ledger entry by entry, and say what differs and what cannot be known.

    Parameters
    ----------
    path
        The ledger.
    heads
        Receipts, or heads published from time to time, as ``number:hash``, from somebody else than the
        ledger's owner.
    seed
        The secret seed, where the verifier is told it before enrolment closes.

    Raises
    ------
    AllocationError
        When there is no such ledger, or a head is not ``number:hash``.
    """
    known = dict(_head(given) for given in heads)
    entries = Ledger.open(path).entries
    problems = [*_chain_problems(entries)]
    broken = bool(problems)
    problems += [*_head_problems(entries, known)]
    public = seed or _published_seed(entries)
    if not broken:
        problems += [*_content_problems(entries, public)]
    kinds = [] if broken else [entry.content["kind"] for entry in entries]
    return LedgerVerification(
        ok=not problems,
        problems=tuple(problems),
        does_not_prove=tuple(_open_points(entries, known, public)),
        enrolled=kinds.count("enrol"),
        head=Receipt(entries[-1].number, entries[-1].hash) if entries else None,
    )


def _head(given: str | Receipt) -> tuple[int, str]:
    number, colon, head = str(given).strip().partition(":")
    if not colon or not number.isdecimal() or len(head) != 64:
        raise AllocationError(
            f'"{given}" is no receipt; give it whole, as it was issued: number:hash, 64 digits'
        )
    return int(number), head


def _chain_problems(entries: tuple[Entry, ...]) -> Iterator[str]:
    if not entries:
        yield "the ledger is empty: every entry was removed"
        return
    previous, expected = "", 0
    for entry in entries:
        if entry.number != expected:
            missing = f"{expected}" if entry.number == expected + 1 else f"{expected} to {entry.number - 1}"
            yield (
                f"entry {missing} was removed"
                if entry.number > expected
                else (f"entry {entry.number} stands before the first")
            )
        elif entry.hash != chained(previous, entry.text):
            yield from _broken_link(entry, previous)
        yield from _shape_problems(entry)
        previous, expected = entry.hash, entry.number + 1


def _broken_link(entry: Entry, previous: str) -> Iterator[str]:
    yield (
        f"entry {entry.number} does not have its hash: it was edited, or entry {entry.number - 1} before it "
        "was edited and hashed anew"
        if previous
        else "entry 0, with the design, was edited: it does not have its hash"
    )


def _shape_problems(entry: Entry) -> Iterator[str]:
    try:
        content = entry.content
    except AllocationError as error:
        yield str(error)
        return
    if content.get("number") != entry.number:
        yield f"entry {entry.number} was renumbered: it says of itself that it is {content.get('number')}"
    if set(content) != KEYS.get(str(content.get("kind")), set()):
        yield f"entry {entry.number} has other fields than an entry of the kind {content.get('kind')}"


def _head_problems(entries: tuple[Entry, ...], known: dict[int, str]) -> Iterator[str]:
    found = {entry.number: entry.hash for entry in entries}
    for number, head in sorted(known.items()):
        if number not in found:
            yield (
                f"the tail was cut: a receipt was issued for entry {number}, but the ledger ends at "
                f"{entries[-1].number if entries else 'nothing'}"
                if number > max(found, default=-1)
                else f"entry {number}, for which a receipt was issued, was removed"
            )
        elif found[number] != head:
            yield (
                f"entry {number} is not the one that its receipt was issued for: it or an entry before it "
                "was changed and hashed anew, or the whole ledger was made again"
            )


def _published_seed(entries: tuple[Entry, ...]) -> str | None:
    for entry in reversed(entries):
        try:
            content = entry.content
        except AllocationError:
            continue
        if content.get("kind") == "close":
            return str(content.get("seed"))
    return None


def _content_problems(entries: tuple[Entry, ...], seed: str | None) -> Iterator[str]:
    """Replay a sound chain: what it says must be possible, and with a seed every arm must be its."""
    try:
        design, design_hash = design_of(entries)
    except AllocationError as error:
        yield str(error)
        return
    promised = entries[0].content["seed_commitment"]
    if seed is not None and seed_commitment(seed) != promised:
        yield "the seed is not the one that the ledger was opened with: its commitment is another"
        seed = None
    earlier: list[Content] = []
    seen: dict[str, int] = {}
    for entry in entries[1:]:
        content = entry.content
        if entries[entry.number - 1].content["kind"] == "close":
            yield f"entry {entry.number} was added after enrolment was closed and the seed published"
        if content["kind"] != "enrol":
            if content["kind"] == "open":
                yield f"entry {entry.number} opens the ledger a second time"
            continue
        if content["unit"] in seen:
            first = seen[content["unit"]]
            yield f"{content['unit']} was enrolled twice, in entries {first} and {entry.number}"
        seen[content["unit"]] = entry.number
        problem = _impossible(content, design)
        if problem:
            yield f"entry {entry.number}: {problem}"
            return
        if seed is not None:
            yield from _wrong_arm(content, design, design_hash, seed, earlier)
        earlier.append(content)


def _impossible(content: Content, design: SequentialDesign) -> str | None:
    if content["arm"] not in design.arms:
        return f"{content['unit']} stands in the arm {content['arm']}, which the design does not have"
    levels = content["levels"] if isinstance(content["levels"], dict) else {}
    texts = all(isinstance(level, str) for level in levels.values())
    if not texts or set(levels) != set(design.characteristics):
        return f"the characteristics of {content['unit']} are not those that the design names"
    return None


def _wrong_arm(
    content: Content, design: SequentialDesign, design_hash: str, seed: str, earlier: list[Content]
) -> Iterator[str]:
    levels = tuple(content["levels"][name] for name in design.characteristics)
    arm = drawn_arm(design, design_hash, seed, earlier=earlier, levels=levels, number=content["number"])
    if arm != content["arm"]:
        yield (
            f"entry {content['number']}: {content['unit']} stands in arm {content['arm']}, but the seed "
            f"gives {arm} after those enrolled before"
        )


def _open_points(entries: tuple[Entry, ...], known: dict[int, str], seed: str | None) -> Iterator[str]:
    last = entries[-1].number if entries else 0
    if not known:
        yield (
            "No receipt or published head was given: a ledger whose tail was cut, or that was made again as "
            "a whole, cannot be told from an honest one."
        )
    elif max(known) < last:
        yield (
            f"The latest receipt given is for entry {max(known)}: entries {max(known) + 1} to {last} could "
            "have been made again, and others after them cut."
        )
    else:
        yield f"That no entry after {max(known)}, the latest receipt given, was cut."
    if seed is None:
        yield "The seed is secret until enrolment closes, so whether the arms are the seed's was not checked."
    yield (
        "That nobody was turned away, or came later, because somebody guessed the next arm; that whoever "
        "holds the key did not compute it."
    )
