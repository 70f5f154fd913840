"""Committing to a trial and a roster before a public draw: the act that makes a commitment."""

import re
import secrets

import pandas as pd

from rct.errors import AllocationError, DataError
from rct.identifiers import canonical_text
from rct.randomization.allocation import randomize
from rct.randomization.commitment import Commitment
from rct.trial import Trial

NONCE = re.compile(r"[0-9a-f]{32}")


def commit(
    trial: Trial, roster: pd.DataFrame, *, source: str, round: str, nonce: str | None = None
) -> Commitment:
    """Fix a trial and a roster before a public source's future round gives the seed.

    Show what this returns to a third party before the round; randomize with it and the round's value
    afterwards. See ``docs/what-a-randomization-proves.md``.

    Parameters
    ----------
    trial
        The trial.
    roster
        One row per measured unit; the columns that the trial names under ``[units]`` as text.
    source
        The public source of the seed, with the way in which its value is to be written: "state lottery,
        evening draw, numbers in rising order, two digits each".
    round
        Which draw of it: a date or a number that is still to come.
    nonce
        32 hexadecimal digits, to make the same commitment again; absent, the operating system draws it.

    Raises
    ------
    DataError
        When the roster cannot be read as declared.
    AllocationError
        When the design cannot be carried out on this roster, or source, round or nonce are not such texts.
    """
    # A design that cannot be carried out must be refused before the draw, not after it.
    rehearsal = randomize(trial, roster, seed="a rehearsal").certificate
    bits = secrets.token_hex(16) if nonce is None else nonce
    if not NONCE.fullmatch(bits):
        raise AllocationError(f"the nonce {bits!r} is not 32 hexadecimal digits in lower case")
    return Commitment(
        design_hash=trial.design_hash,
        roster_hash=rehearsal["roster_hash"],
        mechanism=trial.randomization.scheme,
        source=_named(source, "the source"),
        round=_named(round, "the round"),
        nonce=bits,
    )


def _named(value: str, what: str) -> str:
    try:
        return canonical_text(value, where=what)
    except DataError:
        raise AllocationError(
            f"{what} {value!r} does not name a public draw; write it as a line of text, such as "
            '"state lottery, evening draw"'
        ) from None
