"""Posterior: the draws of a Bayesian fit, what they say about the effects, and whether to believe them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rct.errors import DataError
from rct.posterior_files import read_stated, write_fit
from rct.posterior_questions import Question
from rct.prior_words import in_words
from rct.quiet_arviz import import_arviz

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

GROUPS = ("posterior", "sample_stats")
STATED = ("outcomes", "arms", "reference", "model", "priors", "diagnostics", "level", "meta", "checks")
MODEL_WORDS = {
    "marginal": "marginal Poisson",
    "stepped-wedge": "marginal Poisson with division and division-by-period effects",
    "joint": "force and the injuries within it",
    "fading": "marginal Poisson, fading effect",
    "dose": "marginal Poisson, monotone in dose",
    "negative-binomial": "negative binomial",
    "zero-inflated": "zero-inflated negative binomial",
    "agencies": "agencies with changes of their own, drawn towards their mean",
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
    checks
        By outcome what :func:`rct.bayesian.check_fit` found; empty before it.
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
    checks: Mapping[str, Any] = field(default_factory=dict)

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
        return arviz_data(self.groups)

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
        return self._of("effect", outcome, arm)

    def _of(self, name: str, outcome: str, arm: str | None) -> "np.ndarray":
        drawn = self.groups["posterior"][name]
        if "outcome" in drawn.dims:
            drawn = drawn.isel(outcome=self.outcomes.index(outcome))
        if "arm" in drawn.dims:
            drawn = drawn.isel(arm=self.arms.index(arm or ""))
        return drawn.to_numpy().ravel()

    def probability(self, outcome: str, *, below: float = 1.0, arm: str | None = None) -> float:
        """Give the posterior probability that the incidence rate ratio is below a value."""
        if not below > 0:
            raise DataError(
                f"below = {below}: a rate ratio is above 0; below = 0.9 asks for a fall of over 10 %."
            )
        return float((self.effect_draws(outcome, arm=arm) < math.log(below)).mean())

    def answers(
        self,
        *,
        larger_than: float = 0.1,
        equivalence: tuple[float, float] = (0.95, 1.05),
        periods_per_year: float = 12,
        officers: float = 100,
    ) -> "pd.DataFrame":
        """Answer what people ask of a trial, from the draws.

        Parameters
        ----------
        larger_than : float
            The reduction that would matter, as a share: .1 asks for one of more than 10 %.
        equivalence : (float, float)
            Rate ratios that are as good as none (the region of practical equivalence, Kruschke 2018).
        periods_per_year : float
            How many units of exposure, such as officer-months, one officer has in a year.
        officers : float
            How many officers the events averted are counted for.

        Returns
        -------
        DataFrame
            One row per outcome and arm: ``probability_reduced``, ``probability_larger``,
            ``probability_equivalent``, and ``averted`` (events a year that training averts, posterior median)
            with ``averted_low`` and ``averted_high``. Negative: events added. They are averted from the rate
            that the treated officers of this trial would have had, drawn for each of them from the model and
            the officer's own counts, where :func:`rct.bayesian.check_fit` has added it (``rate_uncertain``);
            else from the observed untreated rate, taken as known. For agencies it is what their own changes
            add up to, in "fading" the mean of the first periods in training. NaN where no period has treated
            and untreated rows: a change over time is nothing that training averted.

        Raises
        ------
        DataError
            For a share or a region that makes no sense.
        """
        import pandas as pd

        asked = Question(larger_than, equivalence, officers * periods_per_year, self.level)
        rows = []
        for outcome in self.outcomes:
            uncertain = "untreated_rate" in self.groups["posterior"] and self._controlled(outcome)
            for arm in self.arms:
                effect, averted = self.effect_draws(outcome, arm=arm), self._averted_rate(outcome, arm)
                found = asked.answer(effect, averted, rate_uncertain=uncertain)
                rows.append({"outcome": outcome, "arm": arm} | found)
        return pd.DataFrame(rows)

    def _controlled(self, outcome: str) -> bool:
        return bool(self.meta[outcome].get("controlled", True))

    def _averted_rate(self, outcome: str, arm: str) -> "np.ndarray":
        """Give the draws of the events averted per unit of exposure, of the units at hand where known."""
        import numpy as np

        effect, known = self.effect_draws(outcome, arm=arm), self.groups["posterior"]
        if not self._controlled(outcome):
            return np.full(len(effect), NAN)
        if "untreated_rate" not in known:
            return -np.expm1(effect) * float(self.meta[outcome]["baseline"])
        untreated = self._of("untreated_rate", outcome, arm)
        if "treated_rate" in known:
            return untreated - self._of("treated_rate", outcome, arm)
        return -np.expm1(effect) * untreated

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
        return [in_words(term, prior) for term, prior in self.priors.items()]

    def write(self, path: str | Path) -> Path:
        """Write the fit as a Zarr folder, which xarray and ArviZ open too; a fit that was there is replaced.

        Raises
        ------
        DataError
            When the folder holds something else; it is left alone.
        """
        stated = {name: getattr(self, name) for name in STATED}
        return write_fit(Path(path), self.groups, stated)

    @classmethod
    def read(cls, path: str | Path) -> "Posterior":
        """Read what :meth:`write` wrote; the draws are read when they are looked at.

        Raises
        ------
        DataError
            When the folder is not there, holds no fit, or a part of one only.
        """
        folder = Path(path)
        stated = read_stated(folder, STATED, GROUPS)
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
        warned = [
            f"  warning, {outcome}: {facts['warning']}"
            for outcome, facts in self.meta.items()
            if facts["warning"]
        ]
        return "\n".join([*lines, *warned, *(f"  prior of {words}" for words in self.priors_in_words())])

    def summary(self) -> str:
        """Give effects, diagnostics, warnings and priors as lines to read aloud or paste into an e-mail."""
        return repr(self)


def arviz_data(groups: "Mapping[str, xr.Dataset]") -> Any:
    """Give datasets by group as ArviZ holds them: InferenceData before ArviZ 1, a DataTree since."""
    az = import_arviz()
    if az.__version__.startswith("0."):
        return az.InferenceData(**groups)
    import xarray as xr

    return xr.DataTree.from_dict(dict(groups))
