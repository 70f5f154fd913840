"""The canonical JSON of a trial file and its two hashes; rules in ``docs/allocation-bytes.md``, section 4."""

import hashlib
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from rct.errors import TrialError

DESIGN_TABLES = ("units", "arms", "schedule", "randomization")
LABELLED = "arms"
"""The one table of the design with words on which no hash rests: the labels of its arms."""
LARGEST_INTEGER = 2**53 - 1


def canonical_json(document: Mapping[str, Any], *, labels: bool = True) -> str:
    """Write tables as canonical JSON (RFC 8785): keys sorted, no spaces, exact numbers as text.

    Parameters
    ----------
    document
        Tables as parsed from TOML with decimals as ``Decimal``; absent keys stay absent.
    labels
        Whether keys named ``label`` are kept.
    """
    import rfc8785

    return rfc8785.dumps(_plain(document, labels=labels, where="")).decode()


def design_json(document: Mapping[str, Any]) -> str:
    """Give the canonical JSON of what the randomization rests on: no labels, no analysis, no outcomes."""
    return canonical_json({k: v for k, v in document.items() if k in DESIGN_TABLES}, labels=False)


def sha256(text: str) -> str:
    """Give the SHA-256 of a text's UTF-8 bytes in lower-case hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain_decimal(number: Decimal) -> str:
    """Write a decimal in plain notation without trailing zeros: 0.550 is "0.55", 1e-2 is "0.01"."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _plain(value: Any, *, labels: bool, where: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _plain(inner, labels=labels, where=f"{where}.{key}".lstrip("."))
            for key, inner in value.items()
            if labels or key != "label"
        }
    if isinstance(value, list | tuple):
        return [_plain(inner, labels=labels, where=where) for inner in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise TrialError(f"{where}: {value} is not a number that a trial can promise")
        return plain_decimal(value)
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise TrialError(f"{where}: {value} is too large for exact JSON; write it as text in quotes")
    return value
