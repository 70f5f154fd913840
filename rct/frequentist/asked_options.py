"""What a caller may ask of an estimator: anything else is refused by name, never read as a default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real

from rct.errors import EstimationError


def require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuse a value that the option does not know.

    Raises
    ------
    EstimationError
    """
    if not any(type(value) is type(one) and value == one for one in allowed):
        known = ", ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in allowed)
        raise EstimationError(f"{name} must be one of {known}, not {value!r}")


def require_level(level: object) -> None:
    """Refuse a confidence level that is no number between 0 and 1.

    Raises
    ------
    EstimationError
    """
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level!r}")


def require_names(name: str, value: Sequence[str]) -> None:
    """Refuse a lone text where names are listed (it would be read letter by letter), and a name twice.

    Raises
    ------
    EstimationError
    """
    if isinstance(value, str):
        raise EstimationError(f'{name} is a list of names: give {name}=["{value}"]')
    twice = [one for place, one in enumerate(value) if one in value[:place]]
    if twice:
        raise EstimationError(f"{name} names {', '.join(map(str, twice))} twice; name it once")


def require_count(name: str, value: object, lowest: int) -> None:
    """Refuse what is no whole number from `lowest` on.

    Raises
    ------
    EstimationError
    """
    if not isinstance(value, Integral) or value < lowest:
        raise EstimationError(f"{name} must be a whole number from {lowest} on, not {value!r}")


def require_span(name: str, value: object) -> None:
    """Refuse what is no pair of whole numbers (None is absent).

    Raises
    ------
    EstimationError
    """
    if value is None:
        return
    if (
        not isinstance(value, tuple | list)
        or len(value) != 2
        or not all(isinstance(n, Integral) for n in value)
    ):
        raise EstimationError(f"{name} is a first and a last whole number, (1, 12) say, not {value!r}")


def require_effect(effect: str, average: object) -> None:
    """Refuse an unknown kind of effect, and a mean over exposure times of anything but these.

    Raises
    ------
    EstimationError
    """
    require_one_of("effect", effect, ("constant", "exposure-time"))
    require_span("average", average)
    if average is not None and effect != "exposure-time":
        raise EstimationError(
            'average is a mean over exposure times: give effect="exposure-time" with it, or leave it out'
        )


def require_draws(draws: object) -> None:
    """Refuse a number of draws that is none, and any text but "exact".

    Raises
    ------
    EstimationError
    """
    if draws != "exact" and (not isinstance(draws, Integral) or draws < 1):
        raise EstimationError(f'draws must be a positive number or "exact", not {draws!r}')


def require_event_times(event_times: object) -> None:
    """Refuse event times that are not whole numbers, and an empty list of them.

    Raises
    ------
    EstimationError
    """
    if event_times is None:
        return
    times = list(event_times) if isinstance(event_times, Iterable) else []
    if not times or not all(isinstance(time, Integral) for time in times):
        raise EstimationError(f"event_times is a list of whole numbers, [-2, 0, 1] say, not {event_times!r}")


def require_seed(seed: object) -> None:
    """Refuse a seed that no stream can be made of (None is absent).

    Raises
    ------
    EstimationError
    """
    if seed is not None and (not isinstance(seed, Integral) or seed < 0):
        raise EstimationError(f"seed must be a whole number from 0 on, not {seed!r}")
