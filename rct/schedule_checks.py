"""What a schedule may not say although every key is well formed: its calendar, its crossings, its blocks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rct.errors import TrialError
from rct.schedule import DAYS_PER_PERIOD, MONTHS_PER_PERIOD, crossed
from rct.trial_problems import Place
from rct.trial_values import as_written

if TYPE_CHECKING:
    from rct.trial import Trial

CELL_COLUMNS = ("date", "shift", "district", "weekday", "week", "month", "couple")
YEARS = (1900, 2199)
PER_BLOCK = frozenset({"starts", "sizes", "never", "per_step"})


def schedule_contradictions(trial: "Trial") -> list[tuple[Place, str]]:
    """Give every contradiction of ``[schedule]`` with the place of the key to change."""
    return [*_calendar(trial), *_crossings(trial), *_by_block(trial)]


def _calendar(trial: "Trial") -> Iterator[tuple[Place, str]]:
    schedule = trial.schedule
    if schedule.start is None:
        return
    months = schedule.period in MONTHS_PER_PERIOD
    if months and schedule.start.day != 1:
        yield (
            ("schedule", "start"),
            f"schedule.start: periods of a {schedule.period} begin on the first of a month, "
            f"not on {schedule.start}",
        )
    days = MONTHS_PER_PERIOD[schedule.period] * 365 / 12 if months else DAYS_PER_PERIOD[schedule.period]
    last = schedule.start.year + int(days * schedule.periods / 365)
    if not YEARS[0] <= schedule.start.year <= last <= YEARS[1]:
        yield (
            ("schedule", "start"),
            f"schedule.start: {schedule.periods:,} periods of a {schedule.period} from {schedule.start} end "
            f"about {last:04}; the years {YEARS[0]} to {YEARS[1]} can be scheduled",
        )


def _crossings(trial: "Trial") -> Iterator[tuple[Place, str]]:
    schedule = trial.schedule
    if schedule.kind == "staggered":
        yield from _classes(
            ("schedule",), schedule.starts, schedule.sizes, trial, needed=not schedule.by_block
        )
    elif schedule.starts or schedule.sizes or schedule.never:
        yield (
            ("schedule", "starts"),
            f"starts, sizes and never belong to a staggered schedule, not to {schedule.kind}",
        )
    yield from _shifts(trial)
    if (schedule.cap is None) != (schedule.cap_by is None):
        yield ("schedule", "cap"), "cap and cap_by go together: a number, and the roster column it holds for"
    if schedule.cap and (schedule.kind != "staggered" or trial.randomization.scheme != "keyed-order"):
        yield ("schedule", "cap"), "cap belongs to a staggered schedule without another scheme"
    if schedule.kind == "crossover":
        yield from _stretches(trial)
    elif schedule.sequences:
        yield ("schedule", "sequences"), f"sequences belong to kind = crossover, not {schedule.kind}"
    if schedule.kind == "parallel" and schedule.baseline + schedule.transition >= schedule.periods:
        yield (
            ("schedule", "periods"),
            f"baseline and transition fill all {schedule.periods} periods; none is left to treat",
        )
    if schedule.kind == "stepped-wedge":
        yield from _wedge(trial)


def _shifts(trial: "Trial") -> Iterator[tuple[Place, str]]:
    schedule, units = trial.schedule, trial.units
    if schedule.kind != "shifts":
        if schedule.shifts or schedule.districts:
            yield ("schedule", "shifts"), f"shifts and districts belong to kind = shifts, not {schedule.kind}"
        return
    if schedule.start is None or schedule.period != "day" or not schedule.shifts:
        yield (
            ("schedule", "shifts"),
            'a trial of shifts needs start, period = "day" and shifts, the times at which they begin',
        )
    if list(schedule.shifts) != sorted(set(schedule.shifts)):
        yield ("schedule", "shifts"), "shifts must rise from one to the next, each once"
    if schedule.baseline or schedule.transition:
        yield ("schedule", "baseline"), "a cell is one shift, so it has neither baseline nor transition"
    if units.randomize != units.id:
        yield ("units", "randomize"), "a trial of shifts randomizes its cells: units.randomize is units.id"
    for column in set(units.block) - set(CELL_COLUMNS):
        yield (
            ("units", "block"),
            f"units.block: {column} is no column of the cells; they are {', '.join(CELL_COLUMNS)}",
        )


def _wedge(trial: "Trial") -> Iterator[tuple[Place, str]]:
    schedule, units = trial.schedule, trial.power.clusters
    if isinstance(schedule.per_step, tuple):
        steps, groups = len(schedule.per_step), ", ".join(map(str, schedule.per_step))
        rest = units is not None and units != sum(schedule.per_step)
    else:
        steps, groups = (units or schedule.per_step) // schedule.per_step, str(schedule.per_step)
        rest = units is not None and units % schedule.per_step > 0
    if rest:
        yield (
            ("power", "clusters"),
            f"power.clusters: {units} units do not cross in groups of {groups}",
        )
    last = schedule.baseline + 1 + schedule.step * (max(steps, 1) - 1) + schedule.transition
    if last > schedule.periods:
        yield (
            ("schedule", "periods"),
            f"schedule.periods: the last of {max(steps, 1)} groups would first be treated in period {last}, "
            f"after the {schedule.periods} periods",
        )


def _classes(
    place: Place, starts: Sequence[int], sizes: Sequence[int], trial: "Trial", *, needed: bool
) -> Iterator[tuple[Place, str]]:
    schedule, arms = trial.schedule, len(trial.arms.treatments)
    if needed and not starts:
        yield place, "a staggered schedule needs starts and sizes: first treated periods, and units in each"
    if len(sizes) != len(starts) * arms:
        each = " (one for each start and arm, start by start)" if arms > 1 else ""
        yield (
            (*place, "sizes"),
            f"{len(starts)} starts need {len(starts) * arms} sizes{each}, not {len(sizes)}",
        )
    if any(later <= earlier for earlier, later in pairwise(starts)):
        yield (*place, "starts"), "starts must rise from one to the next"
    outside = [start for start in starts if not schedule.transition < start <= schedule.periods]
    if outside:
        yield (
            (*place, "starts"),
            f"starts {', '.join(map(str, outside))} leave no room for {schedule.transition} transition "
            f"periods, or come after the {schedule.periods} periods",
        )


def _stretches(trial: "Trial") -> Iterator[tuple[Place, str]]:
    place, sequences = ("schedule", "sequences"), trial.schedule.sequences
    if not sequences or not all(sequences):
        yield place, "a crossover needs sequences: for each, the arm in each stretch"
        return
    if len({len(sequence) for sequence in sequences}) > 1:
        yield place, "all sequences need the same number of stretches"
    for name in {arm for sequence in sequences for arm in sequence} - set(trial.arms.names):
        yield place, f'"{name}" is not an arm; the arms are {", ".join(trial.arms.names)}'
    schedule, arms = trial.schedule, trial.arms
    for sequence in sequences:
        try:
            crossed(
                sequence,
                doses=arms.doses,
                control=arms.control,
                periods=schedule.periods,
                transition=schedule.transition,
            )
        except TrialError as error:
            yield place, str(error)


def _by_block(trial: "Trial") -> Iterator[tuple[Place, str]]:
    seen: Counter[tuple[str, ...]] = Counter()
    for number, table in enumerate(trial.schedule.of_blocks):
        place: Place = ("schedule", "by_block", number)
        wrong = [
            *(f"the block column {name} is missing" for name in trial.units.block if name not in table),
            *(
                f"{key} is neither a block column nor one of {', '.join(sorted(PER_BLOCK))}"
                for key in table
                if key not in PER_BLOCK and key not in trial.units.block
            ),
            *(
                f"{column} = {as_written(table[column])} names no block; write its text"
                for column in trial.units.block
                if not isinstance(table.get(column, ""), str | int)
            ),
        ]
        if wrong:
            yield place, f"schedule.by_block: {'; '.join(wrong)}"
        elif trial.schedule.kind == "staggered":
            starts = table.get("starts", trial.schedule.starts)
            sizes = table.get("sizes", trial.schedule.sizes)
            yield from _classes(place, starts, sizes, trial, needed=True)
        seen[tuple(str(table.get(column)) for column in trial.units.block)] += 1
    for block in (block for block, times in seen.items() if times > 1):
        yield ("schedule", "by_block"), f"schedule.by_block describes the block {'/'.join(block)} twice"
