"""What a trial file may not say although every key is well formed: its tables contradict each other."""

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rct.schedule_checks import schedule_contradictions
from rct.trial_problems import Place
from rct.trial_tables import Arms
from rct.trial_values import as_written, exact_share

if TYPE_CHECKING:
    from rct.trial import Trial

RESERVED = frozenset(
    {"unit", "period", "period_label", "randomized", "cluster", "sequence", "arm", "starts", "treated"}
    | {"received", "exposure", "block", "probability", "count"}
)

RESTRICTED = ("constrained", "rerandomized")
KEYS_OF_SCHEMES = {
    "covariates": (*RESTRICTED, "matched"),
    "categorical": RESTRICTED,
    "decimals": RESTRICTED,
    "candidates": RESTRICTED,
    "metric": ("constrained",),
    "weights": ("constrained",),
    "keep": ("constrained",),
    "threshold": ("rerandomized",),
}
MEANING = {
    "keep": "how many of the best candidates are accepted (1000), or which share of them (0.1)",
    "threshold": "the largest Mahalanobis distance that is accepted",
}


def contradictions(trial: "Trial") -> list[tuple[Place, str]]:
    """Give every contradiction with the place of the key to change."""
    return [
        *_units(trial),
        *_arms(trial),
        *_scheme(trial),
        *_restriction(trial),
        *_probabilities(trial),
        *schedule_contradictions(trial),
        *_outcomes(trial),
        *_analysis(trial),
        *_power(trial),
    ]


def _units(trial: "Trial") -> Iterator[tuple[Place, str]]:
    for column in _repeated(trial.units.block):
        yield ("units", "block"), f'units.block names the column "{column}" twice'
    for column in {trial.units.randomize, trial.units.id} & set(trial.units.block):
        yield ("units", "block"), f'units.block: "{column}" names the units, so it cannot be their block'


def _arms(trial: "Trial") -> Iterator[tuple[Place, str]]:
    for name in _repeated(trial.arms.names):
        yield ("arms", "treatments"), f'two arms are named "{name}"; give each its own name'
    if trial.schedule.kind == "stepped-wedge" and len(trial.arms.treatments) > 1:
        yield (
            ("arms", "treatments"),
            "a stepped wedge has one treatment arm; use kind = staggered for several",
        )
    if (
        trial.schedule.kind not in ("parallel", "shifts")
        and trial.arms.probabilities != type(trial.arms.probabilities)()
    ):
        yield (
            ("arms", "probabilities"),
            f"arms.probabilities belong to a parallel trial; a {trial.schedule.kind} one declares who "
            "crosses when under [schedule]",
        )


def _scheme(trial: "Trial") -> Iterator[tuple[Place, str]]:
    kind = trial.schedule.kind
    if trial.arms.factors and kind != "parallel":
        yield ("arms", "factors"), f"arms.factors belong to a parallel trial, not to a {kind} one"
    matched = trial.randomization.scheme == "matched"
    if matched and not trial.randomization.covariates:
        yield (
            ("randomization", "covariates"),
            "matched groups need covariates: the roster columns to match on",
        )
    if not matched and trial.randomization.group_size:
        yield ("randomization", "group_size"), 'group_size belongs to scheme = "matched"'
    for column in _repeated(trial.randomization.covariates):
        yield ("randomization", "covariates"), f'randomization.covariates names "{column}" twice'
    if trial.randomization.scheme == "simple" and (
        kind not in ("parallel", "crossover") or trial.arms.factors
    ):
        yield (
            ("randomization", "scheme"),
            "simple randomization draws every unit by itself; it belongs to a parallel or crossover trial "
            "without factors, where no numbers are fixed",
        )


def _restriction(trial: "Trial") -> Iterator[tuple[Place, str]]:
    rule = trial.randomization
    for key, schemes in KEYS_OF_SCHEMES.items():
        if key in rule.model_fields_set and rule.scheme not in schemes:
            yield ("randomization", key), f'{key} belongs to scheme = "{schemes[0]}", not "{rule.scheme}"'
    if not rule.restricted:
        return
    if not rule.covariates:
        yield (
            ("randomization", "covariates"),
            f"scheme = {rule.scheme} needs covariates: the roster columns in which the arms are to be alike",
        )
    needed = "keep" if rule.scheme == "constrained" else "threshold"
    if getattr(rule, needed) is None:
        yield ("randomization", needed), f"scheme = {rule.scheme} needs {needed}: {MEANING[needed]}"
    for key, named in (("categorical", rule.categorical), ("weights", tuple(rule.weights))):
        for column in sorted(set(named) - set(rule.covariates)):
            yield ("randomization", key), f"randomization.{key}: {column} is not one of the covariates"
    if rule.metric == "points" and rule.categorical:
        yield (
            ("randomization", "categorical"),
            'metric = "points" takes whole numbers, so nothing categorical',
        )


def _probabilities(trial: "Trial") -> Iterator[tuple[Place, str]]:
    place = ("arms", "probabilities")
    given = trial.arms.probabilities
    if given.by_arm:
        yield from ((place, why) for why in _share_problems(trial.arms, given.by_arm, "arms.probabilities"))
    for number, table in enumerate(given.by_block):
        here = (*place, "by_block", number)
        what = "arms.probabilities.by_block"
        lacking = [column for column in trial.units.block if column not in table]
        if lacking:
            yield here, f"{what} does not name its block: {', '.join(lacking)} is missing"
        shares = {key: value for key, value in table.items() if key not in trial.units.block}
        try:
            exact = {arm: exact_share(value) for arm, value in shares.items()}
        except ValueError as error:
            yield here, f"{what}: {error}"
            continue
        yield from ((here, why) for why in _share_problems(trial.arms, exact, what))


def _share_problems(arms: Arms, shares: dict[str, Fraction], what: str) -> Iterator[str]:
    unknown = [name for name in shares if name not in arms.names]
    lacking = [t.name for t in arms.treatments if t.name not in shares]
    total = sum(shares.values(), Fraction(0))
    if unknown:
        yield f"{what}: {', '.join(unknown)} is not an arm; the arms are {', '.join(arms.names)}"
    elif lacking:
        yield f"{what}: {', '.join(lacking)} has no share; the control arm alone may be left out"
    elif total > 1 or (arms.control in shares and total != 1):
        yield f"{what}: the shares sum to {total}, not 1"


def _outcomes(trial: "Trial") -> Iterator[tuple[Place, str]]:
    names = [outcome.name for outcome in trial.outcomes]
    for name in _repeated(names):
        yield ("outcomes", names.index(name), "name"), f'two outcomes are named "{name}"'
    if not any(outcome.primary for outcome in trial.outcomes):
        yield ("outcomes", 0), "no outcome is primary; write primary = true under one"
    for number, outcome in enumerate(trial.outcomes):
        place: Place = ("outcomes", number, "name")
        if outcome.name in RESERVED or not outcome.name.isidentifier():
            yield place, f'"{outcome.name}" cannot name a column of counts; use a word such as "force"'
        roots = [o.name for o in trial.outcomes if not o.within]
        if outcome.within and outcome.within not in roots:
            yield (
                ("outcomes", number, "within"),
                f'{outcome.name}: within = "{outcome.within}" is no outcome of its own; there are '
                f"{', '.join(roots)}",
            )
        if outcome.attribution == "share" and not outcome.fractional:
            yield (
                ("outcomes", number, "attribution"),
                f'{outcome.name}: attribution = "share" gives shares, not counts; write fractional = true',
            )
        if outcome.person and outcome.unit_of_count != "person":
            yield (
                ("outcomes", number, "person"),
                f'{outcome.name}: person names a column, but unit_of_count is "{outcome.unit_of_count}"',
            )


def _analysis(trial: "Trial") -> Iterator[tuple[Place, str]]:
    named: list[tuple[Place, str, Any]] = [
        (("analysis", "primary"), "analysis.primary", trial.analysis.primary)
    ]
    named += [
        (("analysis", "secondary", number), f"analysis.secondary[{number}]", spec)
        for number, spec in enumerate(trial.analysis.secondary)
    ]
    for place, what, spec in named:
        for option in {"average", "baseline"} & set(spec.options):
            window = spec.options[option]
            if not _is_window(window):
                shown = as_written(window)
                yield place, f"{what}: {option} = {shown} is no window of periods; write [first, last]"
    for column in _repeated(trial.analysis.covariates):
        yield ("analysis", "covariates"), f'analysis.covariates names "{column}" twice'


def _power(trial: "Trial") -> Iterator[tuple[Place, str]]:
    names = [outcome.name for outcome in trial.outcomes]
    treatments = [treatment.name for treatment in trial.arms.treatments]
    for table in ("effects", "rates", "persons", "effect_sd", "reporting"):
        given: dict[str, Any] = getattr(trial.power, table)
        for name in given:
            if name not in names:
                yield ("power", table), f"power.{table}: {name} is not an outcome; they are {_list(names)}"
    for name, effect in trial.power.effects.items():
        for arm in effect if isinstance(effect, dict) else ():
            if arm not in treatments:
                yield (
                    ("power", "effects"),
                    f"power.effects.{name}: {arm} is not a treatment; they are {_list(treatments)}",
                )
    for name, persons in trial.power.persons.items():
        if persons < 1:
            yield ("power", "persons"), f"power.persons.{name}: {persons} is less than one person an incident"


def _is_window(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and all(type(end) is int for end in value)
    return pair and 1 <= value[0] <= value[1]  # type: ignore[index]


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
