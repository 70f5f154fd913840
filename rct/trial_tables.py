"""The tables of a trial file, as frozen models: what each key means, its type and its default."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from rct.schedule import PeriodUnit
from rct.trial_values import (
    MOST_CANDIDATES,
    MOST_DECIMALS,
    Count,
    Day,
    Effect,
    Flag,
    Keep,
    Name,
    NonNegative,
    Number,
    Positive,
    Share,
    ShiftStart,
    Threshold,
    Whole,
    built_scheme,
    by_arm_and_block,
    chosen_estimator,
    condition_or_none,
    date_formats,
    factorial_cells,
    named_treatment,
    plain_number,
    twelve_months,
)


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
    dose: Positive = 1.0
    label: str = ""


class Probabilities(Table):
    """Shares of the arms, overall and for single blocks."""

    by_arm: dict[str, Share] = {}
    by_block: tuple[dict[str, str | int | Decimal], ...] = ()


class Arms(Table):
    """The control arm, the treatments, and the share of units each is to have."""

    control: Name
    treatments: tuple[
        Annotated[Treatment, BeforeValidator(named_treatment, json_schema_input_type=str | Treatment)], ...
    ] = Field(default=(), min_length=1, description="Names, or tables of name, dose and label")
    factors: tuple[Name, ...] = Field(
        default=(), description="Instead of treatments: trainings given or not in every combination"
    )
    probabilities: Annotated[
        Probabilities,
        BeforeValidator(by_arm_and_block, json_schema_input_type=dict[str, Any]),
    ] = Probabilities()

    @model_validator(mode="before")
    @classmethod
    def _combinations(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not {"treatments", "factors"} & value.keys():
            raise ValueError("treatments is missing: name the treatments, or factors to combine")
        return factorial_cells(value)

    @property
    def names(self) -> tuple[str, ...]:
        """The control arm's name, then the treatments' in the file's order."""
        return (self.control, *(treatment.name for treatment in self.treatments))

    @property
    def doses(self) -> dict[str, float]:
        """Dose of each treatment."""
        return {treatment.name: treatment.dose for treatment in self.treatments}


class BlockSchedule(BaseModel):
    """What one block, named by its block columns, has of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    starts: tuple[Count, ...] = ()
    sizes: tuple[Whole, ...] = ()
    never: Flag = False
    per_step: Count | Annotated[tuple[Count, ...], Field(min_length=1)] = 1


class Schedule(Table):
    """The calendar, and who crosses when."""

    kind: Literal["parallel", "stepped-wedge", "staggered", "crossover", "shifts"]
    start: Day | None = Field(default=None, description="First day of period 1")
    period: PeriodUnit = "month"
    periods: Annotated[Count, Field(le=100_000)]
    baseline: Whole = Field(default=0, description="Periods before the first crossover")
    step: Count = Field(default=1, description="Periods between crossovers")
    per_step: Count | Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=1, description="Randomized units that cross together, or the number of each crossing"
    )
    starts: tuple[Count, ...] = Field(default=(), description="First treated period of each class")
    sizes: tuple[Whole, ...] = Field(default=(), description="Randomized units in each class")
    never: Flag = Field(default=False, description="Whether the rest of a block is never treated")
    by_block: tuple[BlockSchedule, ...] = Field(
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

    @property
    def of_blocks(self) -> tuple[dict[str, Any], ...]:
        """The keys of each table of ``by_block``, as far as the file has them."""
        return tuple(table.model_dump(exclude_unset=True) for table in self.by_block)


class Randomization(Table):
    """The scheme, where it is not the plain keyed order."""

    scheme: Annotated[
        Literal["keyed-order", "simple", "matched", "constrained", "rerandomized"],
        BeforeValidator(built_scheme),
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
    primary: Flag = False
    direction: Literal["decrease", "increase"] = "decrease"
    unit_of_count: Literal["incident", "report", "person"] = "incident"
    where: Annotated[str | None, AfterValidator(condition_or_none)] = Field(
        default=None, description="Condition over the columns of the records"
    )
    exposure: Name | None = Field(default=None, description="Its own denominator")
    fractional: Flag = Field(default=False, description="Shares or rates rather than counts")
    within: Name | None = Field(
        default=None, description="Outcome whose incidents its events are part of, as injuries of force"
    )
    person: Name | None = Field(default=None, description="Column that identifies the counted person")
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
    date_format: Annotated[str | tuple[str, ...] | None, AfterValidator(date_formats)] = Field(
        default=None, description="For example %m/%d/%Y, or several, tried in order; ISO dates need none"
    )
    unit: Name | None = Field(default=None, description="Column of the measured unit where it is no officer")
    district: Name | None = Field(default=None, description="Shifts: column of an incident's district")
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


Promised = Annotated[
    AnalysisSpec, BeforeValidator(chosen_estimator, json_schema_input_type=str | AnalysisSpec)
]


class Analysis(Table):
    """What will be estimated, fixed before any outcome is seen."""

    estimand: str = "ITT incidence rate ratio"
    primary: Promised
    secondary: tuple[Promised, ...] = ()
    inference: Literal["randomization", "cluster-robust", "wild-bootstrap", "hc2"] = "randomization"
    draws: Count | Literal["exact"] = 9999
    covariates: tuple[Name, ...] = ()
    alpha: Number = Field(default=0.05, gt=0, lt=1)
    multiplicity: Literal["holm", "westfall-young", "none"] = "holm"
    seed: Whole | Name | None = None
    priors: Annotated[dict[str, Any], BeforeValidator(plain_number)] = {}


class Course(Table):
    """How the effect on the log rate runs along the periods since training began; constant where absent."""

    delay: Whole = Field(default=0, description="Treated periods before there is any effect")
    growth: Count = Field(default=1, description="Periods in which it then grows to its full size, linearly")
    fade: Annotated[int, Strict(), Field(ge=2)] | None = Field(
        default=None, description="It falls linearly from all to nothing over so many periods"
    )
    refresher: Count | None = Field(
        default=None, description="Periods between refreshers, each of which begins the fading anew"
    )

    @model_validator(mode="after")
    def _fades(self) -> Self:
        if self.refresher is not None and self.fade is None:
            raise ValueError("refresher without fade changes nothing: say over how many periods it fades")
        return self


class Power(Table):
    """Assumptions for power and simulation; rates are counts per measured unit and period."""

    effects: dict[str, Effect] = Field(default={}, description="Ratio at dose 1, by outcome (and arm)")
    rates: dict[str, Positive] = {}
    injury_overlap: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of officer-injury incidents injuring a citizen",
    )
    persons: dict[str, Number] = Field(default={}, description="Persons counted per incident, by outcome")
    clusters: Count | None = None
    units: Count | None = None
    heterogeneity: Positive | None = Field(
        default=None, description="Gamma shape of officer rates; absent = all alike"
    )
    officers_per_incident: Number = Field(default=1.0, ge=1, description="Size-weighted mean")
    cluster_sd: NonNegative = Field(default=0.0, description="Sd of log rate between clusters")
    cluster_period_sd: NonNegative = 0.0
    trend: Number = Field(default=0.0, description="Log rate per period")
    season: Annotated[tuple[Positive, ...], AfterValidator(twelve_months)] = Field(
        default=(), description="Rate of January to December relative to the year's"
    )
    course: Course = Field(default=Course(), description="The effect along the time since training")
    effect_sd: dict[str, Positive] = Field(
        default={}, description="Sd of the log ratio around power.effects, for assurance, by outcome"
    )
    untrained: Number = Field(
        default=0.0, ge=0, lt=1, description="Share of measured units never trained though allocated"
    )
    trained_anyway: Number = Field(
        default=0.0, ge=0, lt=1, description="Share trained when the first are, whatever their allocation"
    )
    contamination: Number = Field(
        default=0.0, ge=0, le=1, description="Share of the mean effect that the untrained have of the trained"
    )
    attrition: dict[str, Annotated[Number, Field(ge=0, lt=1)]] = Field(
        default={}, description="Chance to leave after each period, by arm"
    )
    transfers: Number = Field(
        default=0.0, ge=0, lt=1, description="Chance to move to another randomized unit after each period"
    )
    mixing: Number = Field(
        default=0.0, ge=0, le=0.5, description="Shifts: share of a crew that belongs to the other arm"
    )
    reporting: dict[str, Positive] = Field(
        default={}, description="Events recorded once trained, relative to before, by outcome"
    )
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
