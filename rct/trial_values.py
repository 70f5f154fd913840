"""What a value of a trial file may be: exact shares, names, formats. A refusal says how to write it."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from rct.invisible_characters import invisible_in

LARGEST_DENOMINATOR = 10**9
MOST_FACTORS = 5
MOST_DECIMALS = 12
MOST_CANDIDATES = 1_000_000
SCHEMES_BUILT = ("keyed-order", "simple", "matched", "constrained", "rerandomized")
SHOWN = 60
"""Characters of a value that a message repeats."""
DATE_PARTS = "aAwdbBmyYHIpMSfjzZ%"


def as_written(value: object, levels: int = SHOWN) -> str:
    """Write a value as a trial file does, cut to a glance: for messages.

    Lists within more lists than `levels` are past what is shown, and not gone into.
    """
    if not levels:
        return "…"
    if value is None or isinstance(value, bool):
        text = "null" if value is None else str(value).lower()
    elif isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{key} = {as_written(inner, levels - 1)}' for key, inner in value.items())}}}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(as_written(inner, levels - 1) for inner in value)}]"
    else:
        text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


def exact_share(value: object) -> Fraction:
    """Read a probability exactly: 0.55, "0.55" and "11/20" are the same; binary floats are refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | Fraction):
        raise ValueError(f'{as_written(value)} is not a probability; write 0.55, "0.55" or "1/3"')
    try:
        share = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f'{as_written(value)} is not a probability; write 0.55, "0.55" or "1/3"') from None
    if not 0 <= share <= 1:
        raise ValueError(f"{value} is not between 0 and 1")
    if share.denominator > LARGEST_DENOMINATOR:
        raise ValueError(f'{value} has too many digits; write a fraction such as "1/3"')
    return share


def _kept(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} is no number of candidates to keep; write 1 or more, or a share: 0.1")
        return value
    share = exact_share(value)
    if share == 0:
        raise ValueError('nothing would be kept; write a share such as 0.1 or "1/10", or a whole number')
    return share


def positive_fraction(value: object) -> Fraction:
    """Read a number above 0 exactly: 0.446 and "1/4"; binary floats are refused."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal | Fraction):
            raise ValueError
        number = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f'{as_written(value)} is not a number; write 2, 0.446 or "1/4"') from None
    if number <= 0:
        raise ValueError(f"{as_written(value)} is not above 0")
    return number


def twelve_months(factors: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse seasonal factors that are not one for each month."""
    if len(factors) not in (0, 12):
        raise ValueError(f"{len(factors)} factors; write twelve, January to December")
    return factors


def _text(value: object) -> object:
    if isinstance(value, str) and (not value or value != value.strip()):
        raise ValueError(f"{as_written(value)} is blank or begins or ends with white space")
    return value


def named_treatment(value: object) -> object:
    """Read a plain name as a treatment of dose 1."""
    return {"name": value} if isinstance(value, str) else value


def chosen_estimator(value: object) -> object:
    """Read a plain name as an estimator without options."""
    return {"estimator": value} if isinstance(value, str) else value


def by_arm_and_block(value: object) -> object:
    """Tell the shares of the arms from the tables of single blocks."""
    if not isinstance(value, Mapping) or "by_arm" in value:
        return value
    by_arm = {key: share for key, share in value.items() if key != "by_block"}
    return {"by_arm": by_arm, "by_block": value.get("by_block", ())}


def plain_number(value: Any) -> Any:
    """Turn decimals, in nested tables and lists too, into the int or float that an estimator takes."""
    if isinstance(value, Mapping):
        return {key: plain_number(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain_number(inner) for inner in value)
    return float(value) if isinstance(value, Decimal) else value


def _ratio(value: object) -> object:
    given = plain_number(value)
    ratios = list(given.values()) if isinstance(given, dict) else [given]
    if not ratios or any(isinstance(r, bool) or not isinstance(r, int | float) or not r > 0 for r in ratios):
        raise ValueError(
            f"{as_written(value)} is not a ratio above 0, such as 0.72, or a table of ratios by arm"
        )
    return given


def built_scheme(value: object) -> object:
    """Refuse a scheme of randomization that does not exist."""
    if isinstance(value, str) and value not in SCHEMES_BUILT:
        raise ValueError(
            f'scheme "{value}" is not built yet; built are {", ".join(SCHEMES_BUILT)}. Without '
            "[randomization] a trial is randomized by the keyed order: completely, within blocks, or by "
            "cluster"
        )
    return value


def factorial_cells(value: object) -> object:
    """Turn two-level factors into the arms that are their combinations, the first factor varying fastest."""
    if not isinstance(value, Mapping) or "factors" not in value:
        return value
    factors = value["factors"]
    if "treatments" in value or "probabilities" in value:
        raise ValueError(
            "factors make the treatments, in equal shares; leave treatments and probabilities out"
        )
    if not isinstance(factors, list | tuple) or not 2 <= len(factors) <= MOST_FACTORS:
        raise ValueError(f"factors are 2 to {MOST_FACTORS} names of trainings that can be combined")
    cells = range(1, 2 ** len(factors))
    return {
        **value,
        "treatments": [" + ".join(str(f) for i, f in enumerate(factors) if cell >> i & 1) for cell in cells],
    }


def date_formats(given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
    """Refuse a format that reads no full date."""
    for form in (given,) if isinstance(given, str) else given or ():
        problem = _format_problem(form)
        if problem:
            raise ValueError(f'"{form}" {problem}; write a format such as %m/%d/%Y or %d %b %Y %H:%M')
    return given


def _format_problem(form: str) -> str:
    parts = [part[1:] for part in re.findall("%.?", form)]
    unknown = [f"%{part}" for part in parts if not part or part not in DATE_PARTS]
    named = [part for part in parts if part != "%"]
    if unknown:
        return f"has {', '.join(unknown)}, which is no part of a date"
    if len(set(named)) < len(named):
        return "has a part twice"
    if {"z", "Z"} & set(named[:-1]) or (named[-1:] in (["z"], ["Z"]) and not form.endswith(f"%{named[-1]}")):
        return "has a zone that is not at its end"
    if not {"y", "Y"} & set(named) or not ("j" in named or ("d" in named and {"m", "b", "B"} & set(named))):
        return "is no full date of year, month and day"
    return ""


def condition_or_none(value: str | None) -> str | None:
    """Refuse a blank condition, and invisible characters, which records are read without."""
    if value is not None and not value.strip():
        raise ValueError("the condition is blank; leave the key out where every record counts")
    if value is not None and (hidden := invisible_in(value)):
        raise ValueError(f"the condition holds invisible characters ({hidden}); type it anew")
    return value


def not_a_truth(value: object) -> object:
    """Refuse true and false, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {as_written(value)}")
    return value


def _not_a_number(value: object) -> object:
    """Refuse a number, which pydantic would take for seconds since 1970."""
    if isinstance(value, int | float | Decimal):
        raise ValueError(f"write a date such as 2024-01-31, without quotation marks, not {as_written(value)}")
    return value


def _time_of_day(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f'{as_written(value)} is no time of day; write one such as "07:00"')
    return value


Name = Annotated[str, BeforeValidator(_text)]
Share = Annotated[
    Fraction, BeforeValidator(exact_share), WithJsonSchema({"type": ["number", "string"], "title": "Share"})
]
Keep = Annotated[
    int | Fraction,
    BeforeValidator(_kept),
    WithJsonSchema({"type": ["integer", "number", "string"], "title": "Keep"}),
]
Threshold = Annotated[
    Fraction,
    BeforeValidator(positive_fraction),
    WithJsonSchema({"type": ["number", "string"], "title": "Threshold"}),
]
Effect = Annotated[float | dict[str, float], BeforeValidator(_ratio)]
Count = Annotated[int, Strict(), Field(ge=1)]
ShiftStart = Annotated[str, AfterValidator(_time_of_day)]
Day = Annotated[date, BeforeValidator(_not_a_number)]
Number = Annotated[float, BeforeValidator(not_a_truth)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), Field(ge=0)]
