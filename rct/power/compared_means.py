"""Power of comparisons of means: two groups, pairs, several arms; in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from rct.errors import RctError
from rct.power.solving import check_choice, check_finite, check_levels, check_positive, only_unknown, reach
from rct.power.wald_power import Alternative, rejection_probability

MOST = 1e9


@dataclass(frozen=True, kw_only=True)
class MeansPower:
    """Inputs and answer of `means`, and of `paired_means` where `n` is pairs and `n_control` not a number."""

    effect: float
    n: float
    n_control: float
    control_per_treated: float
    sd: float
    alpha: float
    power: float
    alternative: Alternative
    far_tail: bool
    solved: str

    @property
    def pairs(self) -> float:
        """Give the pairs of a paired comparison."""
        return self.n


@dataclass(frozen=True, kw_only=True)
class ArmMeansPower:
    """Inputs and answer of `arm_means`."""

    arms: int
    n: float
    f: float
    alpha: float
    power: float
    solved: str


def means(
    *,
    effect: float | None = None,
    n: float | None = None,
    n_control: float | None = None,
    sd: float = 1.0,
    alpha: float = 0.05,
    power: float | None = None,
    control_per_treated: float = 1.0,
    alternative: Alternative = "two-sided",
    far_tail: bool = True,
) -> MeansPower:
    """Solve for the power, the difference or the units of a two-sample t test with equal variances.

    Noncentral t on n + n₀ − 2 df with noncentrality (effect / sd) √(n n₀ / (n + n₀)) (Cohen 1988, exact for
    normal outcomes); two-sided with both tails, as pwr and statsmodels; R's ``power.t.test`` leaves out the
    far one (n = 12, d = .1: .0563 against .0422).

    Parameters
    ----------
    effect : float, optional
        Difference of means, treated less control. Leave exactly one of `effect`, `n`, `power` as None; a
        solved effect lies on the tested side, above 0 where that is either.
    n, n_control : float, optional
        Units; `control_per_treated` as many controls as treated where `n_control` is None. A solved n is a
        real number.
    sd : float
        Within groups; 1 makes `effect` Cohen's d.
    alpha, power : float
    control_per_treated : float
    alternative : {"two-sided", "smaller", "larger"}
    far_tail : bool

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, an input is out of range, or no answer exists.
    """
    solved = only_unknown(effect=effect, n=n, power=power)
    check_positive(n=n, n_control=n_control, sd=sd, control_per_treated=control_per_treated)
    check_finite(effect=effect)
    check_levels(alpha, power)
    check_choice("alternative", alternative, Alternative)
    controls = n_control or (math.nan if n is None else control_per_treated * n)
    given = MeansPower(
        effect=math.nan if effect is None else effect, n=n or math.nan, n_control=controls,
        control_per_treated=control_per_treated, sd=sd, alpha=alpha, power=power or math.nan,
        alternative=alternative, far_tail=far_tail, solved=solved,
    )  # fmt: skip
    fewest = 1.0 if n_control is None else 1e-3
    return _solve(
        given, lambda n: replace(given, n=n, n_control=n_control or control_per_treated * n), fewest
    )


def paired_means(
    *,
    effect: float | None = None,
    pairs: float | None = None,
    sd: float = 1.0,
    alpha: float = 0.05,
    power: float | None = None,
    alternative: Alternative = "two-sided",
    far_tail: bool = True,
) -> MeansPower:
    """Solve for the power, the difference or the pairs of a paired t test.

    Noncentral t on pairs − 1 df with noncentrality (effect / sd) √pairs; as in `means` otherwise.

    Parameters
    ----------
    effect : float, optional
        Mean difference within pairs. Leave exactly one of `effect`, `pairs`, `power` as None.
    pairs : float, optional
        Attribute `n` of the answer.
    sd : float
        Of the differences.
    alpha, power, alternative, far_tail
        As in `means`.

    Raises
    ------
    RctError
        As in `means`.
    """
    solved = only_unknown(effect=effect, n=pairs, power=power)
    check_positive(pairs=pairs, sd=sd)
    if pairs is not None and pairs <= 1:
        raise RctError(f"a paired t test needs more than one pair, not {pairs:g}")
    check_finite(effect=effect)
    check_levels(alpha, power)
    check_choice("alternative", alternative, Alternative)
    given = MeansPower(
        effect=math.nan if effect is None else effect, n=pairs or math.nan, n_control=math.nan,
        control_per_treated=math.nan, sd=sd, alpha=alpha, power=power or math.nan, alternative=alternative,
        far_tail=far_tail, solved=solved,
    )  # fmt: skip
    return _solve(given, lambda pairs: replace(given, n=pairs), 1.01)


def arm_means(
    *,
    arms: int,
    n: float | None = None,
    f: float | None = None,
    alpha: float = 0.05,
    power: float | None = None,
) -> ArmMeansPower:
    """Solve for the power, the spread or the units per arm of a one-way F test of several arms.

    Noncentral F on (arms − 1, arms (n − 1)) df with noncentrality arms n f² (Cohen 1988, ch. 8).

    Parameters
    ----------
    arms : int
    n : float, optional
        Units per arm. Leave exactly one of `n`, `f`, `power` as None. For clusters, n is clusters per arm
        and `f` rests on the sd of cluster means.
    f : float, optional
        Sd of the arm means (divisor: arms) over the sd within arms.
    alpha, power : float

    Raises
    ------
    RctError
        If not exactly one quantity is left to solve, or an input is out of range.
    """
    solved = only_unknown(n=n, f=f, power=power)
    check_positive(n=n, f=f)
    check_levels(alpha, power)
    if not arms >= 2 or arms != int(arms) or (n is not None and n <= 1):
        raise RctError("several means need two arms or more, a whole number, and more than one unit in each")
    given = ArmMeansPower(
        arms=arms, n=n or math.nan, f=f or math.nan, alpha=alpha, power=power or math.nan, solved=solved
    )
    if solved == "power":
        return replace(given, power=_f_power(given))
    if solved == "n":
        found = reach(lambda n: replace(given, n=n), _f_power, given.power, 1.01, 1e7)
    else:
        found = reach(lambda f: replace(given, f=f), _f_power, given.power, 1e-4, 1e3)
    if found is None:
        raise RctError(f"no {solved} reaches power {given.power:g}")
    return found


def _solve(given: MeansPower, at: Callable[[float], MeansPower], fewest: float) -> MeansPower:
    sign = -1.0 if given.alternative == "smaller" else 1.0
    if given.solved == "power":
        return replace(given, power=_power(given))
    if given.solved == "n":
        if given.effect == 0 or (given.alternative != "two-sided" and given.effect * sign < 0):
            raise RctError(f"no number of units shows a difference of {given.effect:g} by this test")
        found = reach(at, _power, given.power, fewest, MOST)
    else:
        found = reach(
            lambda size: replace(given, effect=sign * size * given.sd), _power, given.power, 1e-6, 1e6
        )
    if found is None:
        raise RctError(f"no {given.solved} reaches power {given.power:g}; add control units")
    return found


def _power(x: MeansPower) -> float:
    if math.isnan(x.n_control):
        df, per_sd = x.n - 1, math.sqrt(x.n)
    else:
        df, per_sd = x.n + x.n_control - 2, math.sqrt(x.n * x.n_control / (x.n + x.n_control))
    if df <= 0:
        return 0.0
    signal = per_sd * x.effect / x.sd
    return rejection_probability(
        -signal if x.alternative == "smaller" else signal, alpha=x.alpha, far_tail=x.far_tail,
        sides=2 if x.alternative == "two-sided" else 1, distribution="noncentral-t", df=df,
    )  # fmt: skip


def _f_power(x: ArmMeansPower) -> float:
    from scipy.stats import f, ncf

    between, within = x.arms - 1, x.arms * (x.n - 1)
    critical, ncp = f.isf(x.alpha, between, within), x.arms * x.n * x.f**2
    power = float(ncf.sf(critical, between, within, ncp))
    return 1.0 if math.isnan(power) and ncp > critical * between else power
