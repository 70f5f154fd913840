"""Posterior: the draws of a Bayesian fit, what they say about the effects, and whether to believe them."""

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

GROUPS = ("posterior", "sample_stats")
STATED = ("outcomes", "arms", "reference", "model", "priors", "diagnostics", "level", "meta")
MODEL_WORDS = {
    "marginal": "marginal Poisson",
    "stepped-wedge": "marginal Poisson with division and division-by-period effects",
    "joint": "force and the injuries within it",
    "fading": "marginal Poisson, fading effect",
    "dose": "marginal Poisson, monotone in dose",
    "negative-binomial": "negative binomial",
    "zero-inflated": "zero-inflated negative binomial",
}
CONSTANT_EFFECT = "ITT incidence rate ratio, constant effect"
NAN = math.nan


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Posterior:
    """A Bayesian fit: its draws, priors and diagnostics.

    Attributes
    ----------
    outcomes, arms
        Outcomes and treatment arms, in the order of the dimensions of ``effect``; a dimension of one is
        absent.
    reference
        The arm that effects are compared with.
    model
        Name of the model.
    priors
        The priors as used, by term; False where the term is not in the model.
    diagnostics
        ``ok``, ``failures``, ``divergences``; ``rhat``, ``ess_bulk``, ``ess_tail`` by variable; size and
        seed.
    level
        Probability inside the intervals of :attr:`frame`.
    meta
        By outcome: n_units, n_clusters, n_events, baseline (events per unit of untreated exposure), warning.
    source
        The draws: datasets by ArviZ group, or the folder that holds them.
    """

    outcomes: tuple[str, ...]
    arms: tuple[str, ...]
    reference: str
    model: str
    priors: Mapping[str, Any]
    diagnostics: Mapping[str, Any]
    level: float
    meta: Mapping[str, Mapping[str, Any]]
    source: "Mapping[str, xr.Dataset] | Path" = field(hash=False)

    @cached_property
    def groups(self) -> "Mapping[str, xr.Dataset]":
        """The draws as datasets by ArviZ group; read from disk when first looked at."""
        if not isinstance(self.source, Path):
            return self.source
        import xarray as xr

        return {
            group: xr.open_zarr(self.source, group=group, zarr_format=2, consolidated=False).load()
            for group in GROUPS
        }

    @cached_property
    def idata(self) -> Any:
        """The draws as ArviZ holds them: InferenceData before ArviZ 1, a DataTree since."""
        import warnings

        with warnings.catch_warnings():
            # ArviZ announces its next major version once a day, on import.
            warnings.filterwarnings("ignore", category=FutureWarning, module="arviz")
            import arviz as az
        if az.__version__.startswith("0."):
            return az.InferenceData(**self.groups)
        import xarray as xr

        return xr.DataTree.from_dict(dict(self.groups))

    def effect_draws(self, outcome: str, *, arm: str | None = None) -> "np.ndarray":
        """Give the draws of one log incidence rate ratio at dose 1, (chains × draws,).

        Raises
        ------
        DataError
            For an outcome or arm that the fit does not hold, or no arm where there are several.
        """
        if outcome not in self.outcomes:
            raise DataError(f"the fit holds no outcome {outcome!r}; it holds {', '.join(self.outcomes)}.")
        if arm is None and len(self.arms) > 1:
            raise DataError(f"the fit holds several arms; name one of {', '.join(self.arms)}.")
        if arm is not None and arm not in self.arms:
            raise DataError(f"the fit holds no arm {arm!r}; it holds {', '.join(self.arms)}.")
        effect = self.groups["posterior"]["effect"]
        if "outcome" in effect.dims:
            effect = effect.isel(outcome=self.outcomes.index(outcome))
        if "arm" in effect.dims:
            effect = effect.isel(arm=self.arms.index(arm or ""))
        return effect.to_numpy().ravel()

    def probability(self, outcome: str, *, below: float = 1.0, arm: str | None = None) -> float:
        """Give the posterior probability that the incidence rate ratio is below a value."""
        if not below > 0:
            raise DataError(
                f"below = {below}: a rate ratio is above 0; below = 0.9 asks for a fall of over 10 %."
            )
        return float((self.effect_draws(outcome, arm=arm) < math.log(below)).mean())

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per outcome and arm, with the columns of an estimate.

        ``estimate`` is the posterior mean of the log incidence rate ratio, ``std_error`` its standard
        deviation, the limits its quantiles; there is no p-value.
        """
        import pandas as pd

        return pd.DataFrame([self._row(outcome, arm) for outcome in self.outcomes for arm in self.arms])

    def _row(self, outcome: str, arm: str) -> dict[str, Any]:
        import numpy as np

        draws = self.effect_draws(outcome, arm=arm)
        low, high = np.quantile(draws, [(1 - self.level) / 2, (1 + self.level) / 2])
        facts = self.meta[outcome]
        mean = float(draws.mean())
        return {
            "outcome": outcome,
            "term": arm,
            "arm": arm,
            "reference": self.reference,
            "event_time": NAN,
            "exposure_time": NAN,
            "estimand": facts.get("estimand", CONSTANT_EFFECT),
            "method": f"Bayesian, {MODEL_WORDS.get(self.model, self.model)}",
            "inference": self.inference,
            "scale": "log",
            "level": self.level,
            "estimate": mean,
            "std_error": float(draws.std(ddof=1)),
            "df": NAN,
            "conf_low": float(low),
            "conf_high": float(high),
            "p_value": NAN,
            "p_adjusted": NAN,
            "irr": math.exp(mean),
            "percent_change": 100 * math.expm1(mean),
            "baseline": facts["baseline"],
            "probability_reduced": self.probability(outcome, arm=arm),
            "n_units": facts["n_units"],
            "n_clusters": facts["n_clusters"],
            "n_events": facts["n_events"],
            "warning": facts["warning"],
        }

    @property
    def inference(self) -> str:
        """Where the uncertainty comes from, in words."""
        words = MODEL_WORDS.get(self.model, self.model)
        size = f"{self.diagnostics['chains']} × {self.diagnostics['draws']} draws"
        return f"posterior ({words}, nutpie, {size})"

    def priors_in_words(self) -> list[str]:
        """Say what each prior means in percent: the central 95 % of each."""
        return [_in_words(term, prior) for term, prior in self.priors.items()]

    def write(self, path: str | Path) -> Path:
        """Write the fit as a Zarr folder, which xarray and ArviZ open too; a fit that was there is replaced.

        Raises
        ------
        DataError
            When the folder holds something else.
        """
        import warnings

        target = Path(path)
        if target.exists() and not _is_fit(target):
            raise DataError(f"{target} is there and is no fit written by rct; name a new folder.")
        groups = self.groups
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            with warnings.catch_warnings():
                # Text labels are stored in Zarr's format 2, where they are part of the standard.
                warnings.filterwarnings("ignore", module="zarr")
                for group, dataset in groups.items():
                    dataset.to_zarr(scratch, group=group, zarr_format=2, consolidated=False)
            stated = {name: getattr(self, name) for name in STATED}
            (scratch / ".zattrs").write_text(
                json.dumps({"rct": stated}, ensure_ascii=False, indent=1), "utf-8"
            )
            if target.exists():
                shutil.rmtree(target)
            scratch.chmod(0o755)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target

    @classmethod
    def read(cls, path: str | Path) -> "Posterior":
        """Read what :meth:`write` wrote; the draws are read when they are looked at.

        Raises
        ------
        DataError
            When the folder is not there or holds no fit.
        """
        folder = Path(path)
        if not _is_fit(folder):
            raise DataError(f"{folder} holds no fit written by rct; Posterior.write makes one.")
        stated = json.loads((folder / ".zattrs").read_text("utf-8"))["rct"]
        for name in ("outcomes", "arms"):
            stated[name] = tuple(stated[name])
        return cls(**stated, source=folder)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Posterior) or any(getattr(self, n) != getattr(other, n) for n in STATED):
            return False
        return all(self.groups[group].equals(other.groups[group]) for group in GROUPS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        lines = [f"{self.inference}, {100 * self.level:g} % intervals"]
        for row in self.frame.to_dict("records"):
            low, high = (100 * math.expm1(row[end]) for end in ("conf_low", "conf_high"))
            lines.append(
                f"  {row['outcome']}, {row['arm']}: {row['percent_change']:+.1f} % "
                f"({low:+.1f} to {high:+.1f}), "
                f"probability of a reduction {row['probability_reduced']:.3f}"
            )
        worst = max(self.diagnostics["rhat"].values())
        size = min(self.diagnostics["ess_bulk"]["effect"], self.diagnostics["ess_tail"]["effect"])
        lines.append(
            f"  chains: largest R-hat {worst:.3f}, smallest effective sample size of an effect {size:.0f}, "
            f"{self.diagnostics['divergences']} divergences"
        )
        return "\n".join([*lines, *(f"  prior of {words}" for words in self.priors_in_words())])


def _is_fit(folder: Path) -> bool:
    attributes = folder / ".zattrs"
    return attributes.is_file() and "rct" in json.loads(attributes.read_text("utf-8"))


def _in_words(term: str, prior: Any) -> str:
    if prior is False:
        return f"{term}: not in the model"
    ((distribution, numbers),) = prior.items()
    written = f"{term}, {distribution}({', '.join(f'{number:g}' for number in numbers)})"
    words = PRIOR_WORDS.get(term) or PRIOR_WORDS[distribution]
    return f"{written}: {words(*numbers)}"


def _percent_range(mean: float, sd: float) -> str:
    low, high = (100 * math.expm1(mean + side * 1.96 * sd) for side in (-1, 1))
    return f"{low:+.0f} % to {high:+.0f} %"


def _of_effect(mean: float, sd: float) -> str:
    reduction = 50 * math.erfc(mean / sd / math.sqrt(2))
    return f"95 % from {_percent_range(mean, sd)}; a reduction has probability {reduction:.0f} %"


def _of_intercept(mean: float, sd: float) -> str:
    low, high = (math.exp(mean + side * 1.96 * sd) for side in (-1, 1))
    return f"95 % from {low:.2g} to {high:.3g} events per unit of exposure"


def _of_heterogeneity(shape: float, rate: float) -> str:
    mean = shape / rate
    return (
        f"mean {mean:g}; units then differ by {100 / math.sqrt(mean):.0f} % of the average "
        "(standard deviation between units)"
    )


def _of_sd(sd: float) -> str:
    spread = _percent_range(0, 1.96 * sd)
    return f"95 % of standard deviations below {1.96 * sd:.2g}, rates then {spread}"


def _of_period(sd: float) -> str:
    return f"standard deviation {sd:g} of the log rate between periods ({_percent_range(0, sd)} at 95 %)"


def _of_block(sd: float) -> str:
    return f"standard deviation {sd:g} of the log rate between blocks ({_percent_range(0, sd)} at 95 %)"


def _of_walk(sd: float) -> str:
    return f"from one period to the next, 95 % from {_percent_range(0, sd)}"


def _of_log_share(mean: float, sd: float) -> str:
    low, middle, high = (100 * math.exp(mean + side * 1.96 * sd) for side in (-1, 0, 1))
    return f"injury in {middle:.0f} % of force incidents (95 % from {low:.0f} % to {min(high, 100):.0f} %)"


def _of_correlation(shape: float) -> str:
    return (
        "correlations of divisions' effects centred at 0; of three outcomes each has standard deviation "
        f"{1 / math.sqrt(2 * shape + 2):.2g}"
    )


def _of_fading(shape: float, rate: float) -> str:
    mean = shape / rate
    return (
        f"the effect loses {-100 * math.expm1(-mean):.0f} % of itself per period on average, "
        f"half in {math.log(2) / mean:.2g} periods"
    )


def _of_dose_share(concentration: float) -> str:
    return f"a step from dose to dose is any part of the whole effect (concentration {concentration:g})"


def _of_zero_share(a: float, b: float) -> str:
    return f"{100 * a / (a + b):.0f} % of unit-periods are surplus zeros on average"


# By term, or by distribution where a term may have several.
PRIOR_WORDS: dict[str, Callable[..., str]] = {
    "effect": _of_effect,
    "intercept": _of_intercept,
    "block": _of_block,
    "zero-sum-normal": _of_period,
    "random-walk": _of_walk,
    "heterogeneity": _of_heterogeneity,
    "cluster_sd": _of_sd,
    "cluster_period_sd": _of_sd,
    "effect_given": _of_effect,
    "intercept_given": _of_log_share,
    "cluster_correlation": _of_correlation,
    "fading": _of_fading,
    "dose_share": _of_dose_share,
    "dispersion": _of_heterogeneity,
    "zero_share": _of_zero_share,
}
