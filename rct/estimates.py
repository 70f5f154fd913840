"""Estimate and Estimates: one effect with its uncertainty, and several of them.

Numbers that do not exist are NaN (a posterior has no p-value), labels that do not apply are empty.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rct.errors import DataError
from rct.whole_folder import left_behind, write_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from rct.posterior import Posterior

Scale = Literal["log", "difference"]
NAN = math.nan

COLUMNS = (
    "outcome", "term", "arm", "reference", "event_time", "exposure_time", "estimand", "method", "inference",
    "scale", "level", "estimate", "std_error", "df", "conf_low", "conf_high", "p_value", "p_adjusted", "irr",
    "percent_change", "baseline", "probability_reduced", "n_units", "n_clusters", "n_events", "warning",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Estimate:
    """One effect on one outcome: value, uncertainty, estimand, method, inference, sample, warnings.

    Attributes
    ----------
    outcome, term, arm, reference
        What was measured, the name of the effect, the treatment arm, the arm it is compared with.
    event_time, exposure_time
        Period relative to the first treated one (0 = first treated) and periods since training began
        (1 = first treated); NaN where the effect is not of one such period.
    estimand, method, inference
        In words: what is estimated, by which model, and where the uncertainty comes from.
    scale
        "log": `estimate` is a log incidence rate ratio. "difference": events per measured unit-period.
    estimate, std_error, df, conf_low, conf_high, level
        On `scale`; df is NaN for normal limits and for posteriors.
    p_value, p_adjusted
        Two-sided, and after adjustment for several outcomes.
    baseline
        Mean events per unit-period that a difference is a share of.
    probability_reduced
        Posterior probability that the rate ratio is below one.
    n_units, n_clusters, n_events
        Measured units, clusters, and events that entered.
    warning
        What a reader must know before using the figure; empty if nothing.
    std_error_neyman
        Conservative standard error, where the design-based estimator has one.
    null_draws, draws_hash
        Statistic under each re-randomization, and the hash of the re-randomizations.
    notes
        Facts about the computation (path taken, units without events, …).
    """

    outcome: str
    term: str
    method: str
    inference: str
    estimand: str
    scale: Scale
    estimate: float
    arm: str = ""
    reference: str = ""
    event_time: float = NAN
    exposure_time: float = NAN
    level: float = 0.95
    std_error: float = NAN
    df: float = NAN
    conf_low: float = NAN
    conf_high: float = NAN
    p_value: float = NAN
    p_adjusted: float = NAN
    baseline: float = NAN
    probability_reduced: float = NAN
    n_units: int = 0
    n_clusters: int = 0
    n_events: float = 0
    warning: str = ""
    std_error_neyman: float = NAN
    null_draws: "np.ndarray | None" = None
    draws_hash: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def irr(self) -> float:
        """Incidence rate ratio; NaN on the difference scale."""
        return math.exp(self.estimate) if self.scale == "log" else NAN

    @property
    def percent_change(self) -> float:
        """100 (irr − 1) on the ratio scale, 100 estimate / baseline on the difference scale."""
        return self._percent(self.estimate)

    @property
    def percent_interval(self) -> tuple[float, float]:
        """The interval's limits as percent changes."""
        return self._percent(self.conf_low), self._percent(self.conf_high)

    def _percent(self, value: float) -> float:
        if self.scale == "log":
            return 100 * math.expm1(value)
        return 100 * value / self.baseline if self.baseline else NAN

    def row(self) -> dict[str, Any]:
        """Give the estimate as one row of the tidy frame."""
        return {column: getattr(self, column) for column in COLUMNS}

    @property
    def frame(self) -> "pd.DataFrame":
        """The tidy frame, of one row."""
        return Estimates((self,)).frame

    def summary(self) -> str:
        """Give the estimate as a few lines to read aloud or paste into an e-mail."""
        low, high = self.percent_interval
        interval = (
            "" if math.isnan(low) else f" ({100 * self.level:g} % interval {low:+.1f} to {high:+.1f} %)"
        )
        lines = [f"{self.outcome}, {self.term}: {self.percent_change:+.1f} %{interval}"]
        if self.scale == "log":
            lines.append(
                f"  incidence rate ratio {self.irr:.3f}, log {self.estimate:+.4f}, se {self.std_error:.4f}"
            )
        else:
            lines.append(f"  {self.estimate:+.6f} events per unit-period, se {self.std_error:.6f}")
        if not math.isnan(self.p_value):
            lines.append(f"  p {p_text(self.p_value)}")
        if not math.isnan(self.probability_reduced):
            lines.append(f"  probability of a reduction {self.probability_reduced:.3f}")
        lines += [
            f"  estimand: {self.estimand}",
            f"  method: {self.method}; inference: {self.inference}",
            f"  {self.n_units} units, {self.n_clusters} clusters, {self.n_events:g} events",
        ]
        return "\n".join(lines + ([f"  warning: {self.warning}"] if self.warning else []))

    def __repr__(self) -> str:
        return self.summary()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Estimate) and _comparable(self) == _comparable(other)

    __hash__ = None  # type: ignore[assignment]


def refuse_other_files(folder: Path) -> None:
    """Refuse to put estimates where something else is.

    Raises
    ------
    DataError
        For a file, and for a folder with other files than those of estimates.
    """
    if folder.is_file():
        raise DataError(f"{folder} is a file; name a folder for the estimates")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "estimates.json").exists():
        raise DataError(f"{folder} holds other files than estimates; name a new or an empty folder")


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """Several estimates, in order, with the posteriors behind the Bayesian rows.

    Attributes
    ----------
    rows
        The estimates.
    posteriors
        Fits by name.
    meta
        Where they come from: hashes of trial, allocation and panel, software versions, "simulated".
    """

    rows: tuple[Estimate, ...]
    posteriors: Mapping[str, "Posterior"] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per effect, tidy."""
        import pandas as pd

        return pd.DataFrame([row.row() for row in self.rows], columns=list(COLUMNS))

    def __getitem__(self, outcome: str) -> "Estimates":
        chosen = tuple(row for row in self.rows if row.outcome == outcome)
        if not chosen:
            names = ", ".join(dict.fromkeys(row.outcome for row in self.rows))
            raise KeyError(f"no estimate of {outcome!r}; there are estimates of {names}")
        return replace(self, rows=chosen)

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Estimates)
            and self.rows == other.rows
            and dict(self.posteriors) == dict(other.posteriors)
            and dict(self.meta) == dict(other.meta)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "\n\n".join(row.summary() for row in self.rows)

    def summary(self) -> str:
        """Give every estimate in words."""
        return repr(self)

    def write(self, folder: str | Path) -> Path:
        """Write the estimates into a folder: ``estimates.json``, ``estimates.csv``, null draws, posteriors.

        The folder appears whole or not at all; estimates that were there before are replaced.
        """
        target = Path(folder)
        refuse_other_files(target)
        return write_whole(target, self._write_into)

    def _write_into(self, folder: Path) -> None:
        import numpy as np

        content = {
            "format": 1,
            "rows": [_encoded(row) for row in self.rows],
            "posteriors": list(self.posteriors),
            "meta": dict(self.meta),
        }
        (folder / "estimates.json").write_text(
            json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        self.frame.to_csv(folder / "estimates.csv", index=False)
        null = {str(i): row.null_draws for i, row in enumerate(self.rows) if row.null_draws is not None}
        if null:
            np.savez_compressed(folder / "null_draws.npz", **null)  # type: ignore[arg-type]
        for number, posterior in enumerate(self.posteriors.values()):
            posterior.write(folder / f"posterior-{number}")

    @classmethod
    def read(cls, folder: str | Path) -> "Estimates":
        """Read what `write` wrote.

        Raises
        ------
        DataError
            When the folder holds no estimates, or what it holds was edited or broken.
        """
        from zipfile import BadZipFile

        import numpy as np

        from rct.posterior import Posterior

        path = Path(folder)
        if not (path / "estimates.json").exists():
            raise DataError(
                f"{path} holds no estimates (estimates.json is not there); run `rct estimate` first."
                f"{left_behind(path)}"
            )
        try:
            content = json.loads((path / "estimates.json").read_text(encoding="utf-8"))
            null: Mapping[str, np.ndarray] = {}
            if (path / "null_draws.npz").exists():
                with np.load(path / "null_draws.npz") as stored:
                    null = dict(stored)
            rows = tuple(_decoded(row, null.get(str(i))) for i, row in enumerate(content["rows"]))
            named, meta = [str(name) for name in content["posteriors"]], dict(content["meta"])
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
            raise DataError(
                f"{path} holds no estimates that can be read any more: estimates.json or null_draws.npz was "
                "cut or edited; run `rct estimate` again"
            ) from error
        posteriors = {name: Posterior.read(path / f"posterior-{i}") for i, name in enumerate(named)}
        return cls(rows, posteriors, meta)


def p_text(p: float) -> str:
    """Print a p-value as "= .031", never as .000."""
    return "< .001" if p < 0.001 else "= " + f"{p:.3f}".removeprefix("0")


def _encoded(estimate: Estimate) -> dict[str, Any]:
    content = {f.name: getattr(estimate, f.name) for f in fields(estimate) if f.name != "null_draws"}
    content["notes"] = dict(estimate.notes)
    return {key: _plain(value) for key, value in content.items()}


def _decoded(content: dict[str, Any], null_draws: "np.ndarray | None") -> Estimate:
    values: dict[str, Any] = {key: NAN if value is None else value for key, value in content.items()}
    return Estimate(**values, null_draws=null_draws)


def _plain(value: Any) -> Any:
    import numpy as np

    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _comparable(estimate: Estimate) -> dict[str, Any]:
    draws = estimate.null_draws
    return _encoded(estimate) | {"null_draws": None if draws is None else draws.tolist()}
