"""The tables of a trial file, as frozen models: what each key means, its type and its default."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    Strict,
    WithJsonSchema,
    model_validator,
)

from rct.schedule import PeriodUnit

LARGEST_DENOMINATOR = 10**9
MOST_FACTORS = 5
MOST_DECIMALS = 12
MOST_CANDIDATES = 1_000_000
SCHEMES_BUILT = ("keyed-order", "simple", "matched", "constrained", "rerandomized")
DATE_PARTS = "aAwdbBmyYHIpMSfjzZ%"


def exact_share(value: object) -> Fraction:
    """Read a probability exactly: 0.55, "0.55" and "11/20" are the same; binary floats are refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | Fraction):
        raise ValueError(f'{value!r} is not a probability; write 0.55, "0.55" or "1/3"')
    try:
        share = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f'{value!r} is not a probability; write 0.55, "0.55" or "1/3"') from None
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


def _positive(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | Fraction):
        raise ValueError(f"{value!r} is not a number; write 0.446")
    try:
        number = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"{value!r} is not a number; write 0.446") from None
    if number <= 0:
        raise ValueError(f"{value} is not above 0")
    return number


def _text(value: object) -> object:
    if isinstance(value, str) and (not value or value != value.strip()):
        raise ValueError(f"{value!r} is blank or begins or ends with white space")
    return value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _chosen(value: object) -> object:
    return {"estimator": value} if isinstance(value, str) else value


def _by_arm_and_block(value: object) -> object:
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
        raise ValueError(f"{value} is not a ratio above 0, such as 0.72, or a table of ratios by arm")
    return given


def _built(value: object) -> object:
    if value not in SCHEMES_BUILT:
        raise ValueError(
            f'scheme "{value}" is not built yet; built are {", ".join(SCHEMES_BUILT)}. Without '
            "[randomization] a trial is randomized by the keyed order: completely, within blocks, or by "
            "cluster"
        )
    return value


def _cells(value: object) -> object:
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


def _date_formats(given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
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


def _condition(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ValueError("the condition is blank; leave the key out where every record counts")
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
    BeforeValidator(_positive),
    WithJsonSchema({"type": ["number", "string"], "title": "Threshold"}),
]
Effect = Annotated[float | dict[str, float], BeforeValidator(_ratio)]
Count = Annotated[int, Strict(), Field(ge=1)]
ShiftStart = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Whole = Annotated[int, Strict(), Field(ge=0)]


class Table(BaseModel):
    """A table of the trial file: frozen, and any key it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Units(Table):
    """Who is randomized, who is measured, and how they are named in the roster."""

    randomize: Name = Field(description="Roster column whose values are allocated")
    measure: Name = Field(description="What a row of the panel is: officer, shift, division, agency")
    id: Name = Field(description="Roster column that names the measured unit")
    block: tuple[Name, ...] = Field(default=(), description="Roster columns to stratify by")
    movers: Literal["home", "current"] = Field(
        default="home",
        description="Unit of an officer who moves: at randomization, or current",
    )


class Treatment(Table):
    """A treatment arm; a plain name in the file is an arm of dose 1."""

    name: Name
    dose: PositiveFloat = 1.0
    label: str = ""


class Probabilities(Table):
    """Shares of the arms, overall and for single blocks."""

    by_arm: dict[str, Share] = {}
    by_block: tuple[dict[str, str | int | Decimal], ...] = ()


class Arms(Table):
    """The control arm, the treatments, and the share of units each is to have."""

    control: Name
    treatments: tuple[
        Annotated[Treatment, BeforeValidator(_named, json_schema_input_type=str | Treatment)], ...
    ] = Field(default=(), min_length=1, description="Names, or tables of name, dose and label")
    factors: tuple[Name, ...] = Field(
        default=(), description="Instead of treatments: trainings given or not in every combination"
    )
    probabilities: Annotated[
        Probabilities,
        BeforeValidator(_by_arm_and_block, json_schema_input_type=dict[str, Any]),
    ] = Probabilities()

    @model_validator(mode="before")
    @classmethod
    def _combinations(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not {"treatments", "factors"} & value.keys():
            raise ValueError("treatments is missing: name the treatments, or factors to combine")
        return _cells(value)

    @property
    def names(self) -> tuple[str, ...]:
        """The control arm's name, then the treatments' in the file's order."""
        return (self.control, *(treatment.name for treatment in self.treatments))

    @property
    def doses(self) -> dict[str, float]:
        """Dose of each treatment."""
        return {treatment.name: treatment.dose for treatment in self.treatments}


class Schedule(Table):
    """The calendar, and who crosses when."""

    kind: Literal["parallel", "stepped-wedge", "staggered", "crossover", "shifts"]
    start: date | None = Field(default=None, description="First day of period 1")
    period: PeriodUnit = "month"
    periods: Count
    baseline: Whole = Field(default=0, description="Periods before the first crossover")
    step: Count = Field(default=1, description="Periods between crossovers")
    per_step: Count | Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=1, description="Randomized units that cross together, or the number of each crossing"
    )
    starts: tuple[Count, ...] = Field(default=(), description="First treated period of each class")
    sizes: tuple[Whole, ...] = Field(default=(), description="Randomized units in each class")
    never: bool = Field(default=False, description="Whether the rest of a block is never treated")
    by_block: tuple[dict[str, Any], ...] = Field(
        default=(), description="For one block, named by its block columns: starts, sizes, never, per_step"
    )
    shifts: tuple[ShiftStart, ...] = Field(default=(), description="Shifts: when each begins, rising")
    districts: tuple[Name, ...] = Field(default=(), description="Shifts: districts that are apart")
    cap: Count | None = Field(
        default=None, description="Staggered: most units that one squad sends into the class of one start"
    )
    cap_by: Name | None = Field(default=None, description="Roster column of the squads that are capped")
    transition: Whole = Field(
        default=0, description="Periods left out between crossing and the first treated period"
    )
    sequences: tuple[tuple[Name, ...], ...] = Field(
        default=(), description="Crossover: the arm in each stretch"
    )


class Randomization(Table):
    """The scheme, where it is not the plain keyed order."""

    scheme: Annotated[
        Literal["keyed-order", "simple", "matched", "constrained", "rerandomized"], BeforeValidator(_built)
    ] = "keyed-order"
    covariates: tuple[Name, ...] = Field(default=(), description="Roster columns to match or balance on")
    group_size: Annotated[int, Strict(), Field(ge=2)] | None = Field(
        default=None, description="Units in a matched group; absent: as many as there are arms"
    )
    categorical: tuple[Name, ...] = Field(default=(), description="Covariates that are levels, not numbers")
    decimals: Annotated[int, Strict(), Field(ge=0, le=MOST_DECIMALS)] = Field(
        default=4, description="Decimals to which standardized covariates are rounded before they are scored"
    )
    metric: Literal["l2", "l1", "points"] = Field(
        default="l2",
        description="Constrained: squared or absolute imbalances, or those of whole numbers as they are",
    )
    weights: dict[str, Count] = Field(default={}, description="Constrained: whole weight of a covariate")
    keep: Keep | None = Field(
        default=None, description="Constrained: how many of the best candidates, or which share, are accepted"
    )
    candidates: Annotated[int, Strict(), Field(ge=2, le=MOST_CANDIDATES)] | None = Field(
        default=None,
        description="Candidates that are drawn where the space is larger; absent: the whole space",
    )
    threshold: Threshold | None = Field(
        default=None, description="Rerandomized: largest Mahalanobis distance that is accepted"
    )

    @property
    def restricted(self) -> bool:
        """Whether only balanced allocations are accepted."""
        return self.scheme in ("constrained", "rerandomized")


class Outcome(Table):
    """One outcome: what is counted, from which records, in whose row."""

    name: Name
    label: str = ""
    primary: bool = False
    direction: Literal["decrease", "increase"] = "decrease"
    unit_of_count: Literal["incident", "report", "person"] = "incident"
    where: Annotated[str | None, AfterValidator(_condition)] = Field(
        default=None, description="Condition over the columns of the records"
    )
    exposure: str | None = Field(default=None, description="Its own denominator")
    fractional: bool = Field(default=False, description="Shares or rates rather than counts")
    within: str | None = Field(
        default=None, description="Outcome whose incidents its events are part of, as injuries of force"
    )
    person: str | None = Field(default=None, description="Column that identifies the counted person")
    attribution: Literal["first", "every", "share"] = Field(
        default="first",
        description="The row an incident with several officers enters: the first's, every one's, or shares",
    )


class Records(Table):
    """The agency's columns in the files of incidents."""

    incident: Name = "incident"
    officer: Name = "officer"
    date: Name = "date"
    time: Name | None = None
    date_format: Annotated[str | tuple[str, ...] | None, AfterValidator(_date_formats)] = Field(
        default=None, description="For example %m/%d/%Y, or several, tried in order; ISO dates need none"
    )
    unit: Name | None = Field(default=None, description="Column of the measured unit where it is no officer")
    person: Name | None = Field(default=None, description="Column that identifies an injured person")


class AnalysisSpec(BaseModel):
    """One promised analysis: an estimator of the public API, its options, perhaps an inference of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    estimator: Name
    inference: Literal["randomization", "cluster-robust", "wild-bootstrap", "hc2"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return plain_number(value)

    @property
    def options(self) -> dict[str, Any]:
        """The estimator's own options, as the file gives them."""
        return dict(self.model_extra or {})


Promised = Annotated[AnalysisSpec, BeforeValidator(_chosen, json_schema_input_type=str | AnalysisSpec)]


class Analysis(Table):
    """What will be estimated, fixed before any outcome is seen."""

    estimand: str = "ITT incidence rate ratio"
    primary: Promised
    secondary: tuple[Promised, ...] = ()
    inference: Literal["randomization", "cluster-robust", "wild-bootstrap", "hc2"] = "randomization"
    draws: Count | Literal["exact"] = 9999
    covariates: tuple[Name, ...] = ()
    alpha: float = Field(default=0.05, gt=0, lt=1)
    multiplicity: Literal["holm", "westfall-young", "none"] = "holm"
    seed: int | str | None = None
    priors: Annotated[dict[str, Any], BeforeValidator(plain_number)] = {}


class Power(Table):
    """Assumptions for power and simulation; rates are counts per measured unit and period."""

    effects: dict[str, Effect] = Field(default={}, description="Ratio at dose 1, by outcome (and arm)")
    rates: dict[str, PositiveFloat] = {}
    injury_overlap: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of officer-injury incidents injuring a citizen",
    )
    persons: dict[str, float] = Field(default={}, description="Persons counted per incident, by outcome")
    clusters: Count | None = None
    units: Count | None = None
    heterogeneity: PositiveFloat | None = Field(
        default=None, description="Gamma shape of officer rates; absent = all alike"
    )
    officers_per_incident: float = Field(default=1.0, ge=1, description="Size-weighted mean")
    cluster_sd: NonNegativeFloat = Field(default=0.0, description="Sd of log rate between clusters")
    cluster_period_sd: NonNegativeFloat = 0.0
    trend: float = Field(default=0.0, description="Log rate per period")
    assumptions: tuple[str, ...] = Field(
        default=(), description="Sentences that name the figures which are assumptions, and why these"
    )


class Design(Table):
    """What the randomization rests on: the part of a trial whose hash keys the allocation."""

    units: Units
    arms: Arms
    schedule: Schedule
    randomization: Randomization = Randomization()

    @property
    def further_columns(self) -> tuple[str, ...]:
        """Roster columns that the scheme reads besides those of ``[units]``."""
        capped = () if self.schedule.cap_by is None else (self.schedule.cap_by,)
        return (*self.randomization.covariates, *capped)
