"""Refuse a request that no sampler can meet, before anything is compiled."""

from typing import TYPE_CHECKING

from rct.errors import DataError, EstimationError

if TYPE_CHECKING:
    from rct.panel import Panel

LEAST = {"draws": 1, "tune": 10, "chains": 2, "seed": 0}
LARGEST_SEED = 2**64 - 1


def check_numbers(**numbers: int) -> None:
    """Refuse what is no whole number, or too small a one: of draws, tune, chains, seed.

    Raises
    ------
    EstimationError
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < LEAST[name]:
            reason = "; at least two are needed to see whether they agree" if name == "chains" else ""
            raise EstimationError(
                f"{name} = {value!r}: a whole number of {LEAST[name]} or more is needed{reason}."
            )


def check_request(panel: "Panel", *, draws: int, tune: int, chains: int, seed: int, level: float) -> None:
    """Refuse numbers that are not whole or out of range, and what is no panel.

    Raises
    ------
    EstimationError, DataError
    """
    from rct.panel import Panel

    if not isinstance(panel, Panel):
        raise DataError(
            f"a Panel is needed, not a {type(panel).__name__}; rct.Panel.from_frame makes one of a frame."
        )
    check_numbers(draws=draws, tune=tune, chains=chains, seed=seed)
    if seed > LARGEST_SEED:
        raise EstimationError(f"seed = {seed}: a number below 2**64 is needed.")
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise EstimationError(f"level = {level!r}: a probability between 0 and 1 is needed, such as 0.95.")
