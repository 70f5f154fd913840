"""How the report prints numbers: true minus signs, one decimal for percents, p as .031 and never .000."""

import math
import re

MINUS = "−"
NONE = "–"


def signed(value: float, *, decimals: int = 1) -> str:
    """Print a change with its sign: "−17.7", "+2.3", "0.0"; a dash where there is no number."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "+∞" if value > 0 else f"{MINUS}∞"
    rounded = round(value, decimals)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):,.{decimals}f}"


def percent(value: float) -> str:
    """Print a percent change: "−17.7 %"."""
    return NONE if math.isnan(value) else f"{signed(value)} %"


def percent_with_interval(value: float, low: float, high: float) -> str:
    """Print a percent change and its interval: "−17.7 % (−32.2 to −3.2)"."""
    if math.isnan(low) and math.isnan(high):
        return percent(value)
    return f"{percent(value)} ({signed(low)} to {signed(high)})"


def decimal(value: float, *, decimals: int = 2) -> str:
    """Print a number with fixed decimals and a true minus sign."""
    if math.isnan(value):
        return NONE
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def count(value: float) -> str:
    """Print a count with thousands separated; fractions keep one decimal."""
    if math.isnan(value):
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def p_value(p: float) -> str:
    """Print a p-value for a table: ".031", "< .001", never ".000"."""
    if math.isnan(p):
        return NONE
    return "< .001" if p < 0.001 else _without_zero(p)


def p_phrase(p: float) -> str:
    """Print a p-value for a sentence: "p = .031", "p < .001"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def probability(value: float) -> str:
    """Print a posterior probability: ".972"; never ".000" or "1.000" from finitely many draws."""
    if math.isnan(value):
        return NONE
    if value > 0.999:
        return "> .999"
    return p_value(value)


def share(value: float) -> str:
    """Print a share as a percent without a sign: "33.3 %"."""
    return NONE if math.isnan(value) else f"{100 * value:.1f} %"


def _without_zero(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def typeset(text: str) -> str:
    """Set true minus signs before the numbers of a plain text."""
    return re.sub(r"(?<![\w\]),.-])-(?=\.?\d)", MINUS, text)
