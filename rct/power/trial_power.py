"""Power of a declared trial, by simulating that very trial: randomize → simulate → estimate."""

import json
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import DataError, RctError
from rct.power.checkpoints import Checkpoints, checkpoints_of
from rct.power.diagnosands import diagnose
from rct.power.families import family_power
from rct.power.learned_assumptions import learned_trial
from rct.power.resampled_history import history_of, roster_of
from rct.power.solving import check_count
from rct.power.study import BLOCK, Study, declared_study, run_block, run_packed
from rct.power.verdict import Size, impossible, unsettled_errors, verdict
from rct.randomization import randomize
from rct.simulation import Effects, synthetic_roster

if TYPE_CHECKING:
    import pandas as pd

    from rct.panel import Panel
    from rct.trial import Trial

Progress = Callable[[int, int, "pd.DataFrame"], None]


@dataclass(frozen=True, repr=False)
class Power:
    """What a simulated trial would find, and how often.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per outcome, analysis, arm and true effect: power, mc_error, bias, coverage, type_s,
        type_m, false_positive, sims, failed; see `rct.power.diagnosands.diagnose`.
    replicates : pandas.DataFrame
        One row per replicate and estimate, so that any other summary is one line. An interval by inversion
        needs no standard error, which is missing in its row then.
    trial : Trial
        With the assumptions that were simulated: those learned from a history, where one was given.
    seed : int
    size : Size
        Units, and events expected a period.
    impossible : str
        Why the primary analysis can find nothing, whatever the effect; empty where it can.
    notes : tuple of str
        What the design cannot do besides.
    """

    frame: "pd.DataFrame"
    replicates: "pd.DataFrame"
    trial: "Trial"
    seed: int
    size: Size
    impossible: str
    notes: tuple[str, ...]

    @property
    def primary(self) -> "pd.DataFrame":
        """The rows of the primary analysis on the primary outcomes."""
        names = [outcome.name for outcome in self.trial.outcomes if outcome.primary]
        return self._primary_analysis[self._primary_analysis["outcome"].isin(names)]

    @property
    def _primary_analysis(self) -> "pd.DataFrame":
        return self.frame[self.frame["analysis"] == analysis.label(self.trial.analysis.primary)]

    @cached_property
    def family(self) -> "pd.DataFrame":
        """How often the primary analysis detects any, all and each outcome, after the declared adjustment."""
        name = analysis.label(self.trial.analysis.primary)
        adjusted = self.trial.analysis.multiplicity != "none"
        return family_power(self.replicates, name, self.trial.analysis.alpha, adjusted=adjusted)

    def meets(self, target: float = 0.8) -> bool:
        """Say whether the primary analysis reaches the target on every primary outcome."""
        return not self.impossible and bool((self.primary["power"] >= target).all())

    @property
    def verdicts(self) -> list[str]:
        """One sentence an outcome on what the primary analysis can detect."""
        several = len(self.trial.arms.treatments) > 1
        rows = self._primary_analysis.drop_duplicates(["outcome", "arm"]).to_dict("records")
        return [verdict(self.trial, self.size, row, several_arms=several) for row in rows]  # type: ignore[arg-type]

    @property
    def heading(self) -> str:
        """Name, units and length of the trial."""
        schedule, size = self.trial.schedule, self.size
        of = "" if size.units == size.randomized else f" ({size.units:,} measured units)"
        length = f"{schedule.periods} {schedule.period}s"
        return f"{self.trial.name}: {size.randomized:,} randomized units{of}, {length}."

    @property
    def sentence(self) -> str:
        """What cannot be, the verdicts, then one line an outcome and analysis."""
        lines = [self.heading]
        labels = {outcome.name: outcome.label or outcome.name for outcome in self.trial.outcomes}
        for row in self.frame.to_dict("records"):
            change = f"{100 * (row['effect'] - 1):+.0f} %".replace("-", "−")
            of_arm = f" by {row['arm']}" if len(self.trial.arms.treatments) > 1 else ""
            lines.append(
                f"A true change of {change}{of_arm} in {labels[row['outcome']].lower()} would be found "
                f"significant in {100 * row['power']:.0f} % of such trials (± {100 * row['mc_error']:.1f}; "
                f"{row['analysis']}); the interval excludes no effect in {100 * row['excludes_null']:.0f} %."
            )
        first = [self.impossible] if self.impossible else self.verdicts
        return "\n".join([*first, *self.notes, *lines])

    def __repr__(self) -> str:
        return self.sentence

    def write(self, folder: str | Path) -> Path:
        """Write `power.csv`, `family.csv`, `replicates.parquet` and `power.json`, over earlier ones."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.frame.to_csv(target / "power.csv", index=False)
        self.family.to_csv(target / "family.csv", index=False)
        self.replicates.to_parquet(target / "replicates.parquet", index=False)
        content = {"trial": self.trial.name, "trial_hash": self.trial.hash, "seed": self.seed}
        content |= {"sentence": self.sentence, "notes": list(self.notes), "impossible": self.impossible}
        content |= {"size": asdict(self.size), "declaration": self.trial.to_toml()}
        content |= {"assumed": self.trial.power.model_dump(mode="json")}
        (target / "power.json").write_text(
            json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        return target

    @classmethod
    def read(cls, folder: str | Path) -> "Power":
        """Read what `write` wrote.

        Raises
        ------
        DataError
            For a folder without a finished study.
        """
        import pandas as pd

        from rct.trial import Trial

        source = Path(folder)
        try:
            content = json.loads((source / "power.json").read_text(encoding="utf-8"))
            declared = Trial.parse(content["declaration"], name=f"{source / 'power.json'}, declaration")
            assumed = type(declared.power).model_validate(content["assumed"])
            replicates = pd.read_parquet(source / "replicates.parquet")
            return cls(
                frame=diagnose(replicates, declared.analysis.alpha),
                replicates=replicates,
                trial=declared.model_copy(update={"power": assumed}),
                seed=content["seed"],
                size=Size(**content["size"]),
                impossible=content["impossible"],
                notes=tuple(content["notes"]),
            )
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source} holds no finished study of power; `rct power TRIAL --out {source}` makes one, "
                "and goes on with one that was stopped"
            ) from error


def simulate(
    trial: "Trial",
    roster: "pd.DataFrame | None" = None,
    *,
    effects: Effects | None = None,
    sims: int = 1000,
    draws: int = 999,
    seed: int | None = None,
    executor: Executor | None = None,
    history: "Panel | None" = None,
    resample: bool = False,
    checkpoints: str | Path | None = None,
    progress: Progress | None = None,
) -> Power:
    """Simulate the declared trial many times and count what its own analyses find.

    Each replicate randomizes by the trial's mechanism, simulates the panel of `[power]`, and runs the primary
    and the secondary analyses that are not Bayesian; and once more without an effect, for the false
    positives. Replicate r is seeded by `SeedSequence(seed, spawn_key=(r,))` and computed in blocks of 64 by
    index, so the result is the same, to the last bit, for any executor and after any interruption.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
        Measured units; where absent those of the history, or made up from `power.clusters` and `power.units`.
    effects : mapping, optional
        Incidence rate ratios at dose 1 by outcome, instead of `power.effects`.
    sims, draws : int
        Replicates, and re-randomizations in each randomization test.
    seed : int, optional
        The trial's own seed where absent.
    executor : concurrent.futures.Executor, optional
        Where blocks are computed; in this process where absent.
    history : Panel, optional
        Earlier months of the agency. Rates, heterogeneity, variation between and within randomized units,
        trend and season are learned from it (`rct.power.learn`) and replace those of `[power]`.
    resample : bool
        Take the months of the history themselves, a random stretch of them in each replicate, assign at
        random and thin the effects in: no distribution is assumed.
    checkpoints : path, optional
        Folder where whole blocks are kept, and found again when the same study is started anew.
    progress : callable, optional
        Called after each block with the replicates done, all of them, and the frame so far.

    Raises
    ------
    TrialError, DataError, AllocationError
        For a trial that cannot be randomized, simulated or analysed as declared, or a history that does not
        belong to it.
    """
    check_count(sims=sims)
    if resample and history is None:
        raise RctError("resample takes months from a history: give one")
    own = trial if history is None else learned_trial(trial, history, resampled=resample)
    study = declared_study(
        own,
        roster_of(history, trial) if roster is None and history is not None else roster,
        effects=effects,
        draws=draws,
        seed=analysis.trial_seed(trial, seed),
        history=history_of(history, trial) if resample and history is not None else None,
    )
    kept = None if checkpoints is None else checkpoints_of(study, checkpoints)
    replicates = all_blocks(study, sims, executor, progress, kept)
    allocation = study.allocation
    impossibility = impossible(trial, allocation.smallest_p, allocation.space)
    notes = (*analysis.notes(trial, allocation), *unsettled_errors(trial, replicates))
    return Power(
        frame=diagnose(replicates, trial.analysis.alpha),
        replicates=replicates,
        trial=own,
        seed=study.seed,
        size=_size(study),
        impossible=impossibility,
        notes=tuple(n for n in notes if not (impossibility and n.startswith("This design cannot reach"))),
    )


def cannot_work(trial: "Trial", roster: "pd.DataFrame | None" = None) -> str:
    """Say in one sentence why the primary analysis can find nothing; empty where it can.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
        Measured units; made up from `power.clusters` and `power.units` where absent.

    Raises
    ------
    TrialError, DataError, AllocationError
        For a trial that cannot be randomized.
    """
    analysis.check(trial)
    allocation = randomize(trial, synthetic_roster(trial) if roster is None else roster, seed="power")
    return impossible(trial, allocation.smallest_p, allocation.space)


def _size(study: Study) -> Size:
    units = len(study.allocation.roster)
    events = {name: units * rate for name, rate in zip(study.truth.outcomes, study.truth.rates, strict=True)}
    return Size(units, len(study.allocation.frame), events)


def all_blocks(
    study: Study,
    sims: int,
    executor: Executor | None,
    progress: Progress | None,
    kept: Checkpoints | None = None,
    *,
    first: int = 0,
) -> "pd.DataFrame":
    """Compute blocks in whatever order they come, and put them together in the order of their index.

    `first` is the first replicate wanted, `sims` the one after the last.
    """
    import pandas as pd

    check_count(sims=sims)
    spans = [(start, min(start + BLOCK, sims)) for start in range(first, sims, BLOCK)]
    done: dict[int, pd.DataFrame] = {}

    def take(number: int, rows: "pd.DataFrame") -> None:
        done[number] = rows
        if progress is not None:
            so_far = pd.concat(list(done.values()))
            count = sum(spans[n][1] - spans[n][0] for n in done)
            progress(count, sims, diagnose(so_far, study.trial.analysis.alpha))

    def keep(number: int, rows: "pd.DataFrame") -> None:
        if kept is not None:
            kept.keep(*spans[number], rows)
        take(number, rows)

    for number, span in enumerate(spans):
        rows = None if kept is None else kept.read(*span)
        if rows is not None:
            take(number, rows)
    missing = [number for number in range(len(spans)) if number not in done]
    if executor is None:
        for number in missing:
            keep(number, run_block(study, *spans[number]))
    else:
        packed = pickle.dumps(study)
        waiting: dict[Future[pd.DataFrame], int] = {
            executor.submit(run_packed, packed, *spans[number]): number for number in missing
        }
        for future in as_completed(waiting):
            keep(waiting[future], future.result())
    return pd.concat([done[number] for number in sorted(done)], ignore_index=True)
