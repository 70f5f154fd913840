"""Power of a declared trial, by simulating that very trial: randomize → simulate → estimate."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rct import analysis
from rct.errors import RctError
from rct.power.diagnosands import diagnose
from rct.power.study import BLOCK, Study, declared_study, run_block
from rct.simulation import Effects

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
        type_m, sims, failed; see `rct.power.diagnosands.diagnose`.
    replicates : pandas.DataFrame
        One row per replicate and estimate, so that any other summary is one line.
    trial : Trial
    seed : int
    notes : tuple of str
        What the design cannot do, whatever the effect.
    """

    frame: "pd.DataFrame"
    replicates: "pd.DataFrame"
    trial: "Trial"
    seed: int
    units: int
    randomized: int
    notes: tuple[str, ...]

    @property
    def primary(self) -> "pd.DataFrame":
        """The rows of the primary analysis on the primary outcomes."""
        names = [outcome.name for outcome in self.trial.outcomes if outcome.primary]
        return self.frame[
            (self.frame["analysis"] == analysis.label(self.trial.analysis.primary))
            & self.frame["outcome"].isin(names)
        ]

    def meets(self, target: float = 0.8) -> bool:
        """Say whether the primary analysis reaches the target on every primary outcome."""
        return bool((self.primary["power"] >= target).all())

    @property
    def sentence(self) -> str:
        """The verdict in plain words, one line an outcome and analysis."""
        schedule = self.trial.schedule
        of = "" if self.units == self.randomized else f" ({self.units:,} measured units)"
        length = f"{schedule.periods} {schedule.period}s"
        lines = [f"{self.trial.name}: {self.randomized:,} randomized units{of}, {length}."]
        labels = {outcome.name: outcome.label or outcome.name for outcome in self.trial.outcomes}
        for row in self.frame.to_dict("records"):
            size = f"{100 * (row['effect'] - 1):+.0f} %".replace("-", "−")
            of_arm = f" by {row['arm']}" if len(self.trial.arms.treatments) > 1 else ""
            lines.append(
                f"A true change of {size}{of_arm} in {labels[row['outcome']].lower()} would be found "
                f"significant in {100 * row['power']:.0f} % of such trials (± {100 * row['mc_error']:.1f}; "
                f"{row['analysis']}); the interval excludes no effect in {100 * row['excludes_null']:.0f} %."
            )
        return "\n".join([*self.notes, *lines])

    def __repr__(self) -> str:
        return self.sentence

    def write(self, folder: str | Path) -> Path:
        """Write `power.csv`, `replicates.parquet` and `power.json` into a folder, over earlier ones."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.frame.to_csv(target / "power.csv", index=False)
        self.replicates.to_parquet(target / "replicates.parquet", index=False)
        content = {"trial": self.trial.name, "trial_hash": self.trial.hash, "seed": self.seed}
        content |= {"sentence": self.sentence, "notes": list(self.notes)}
        (target / "power.json").write_text(
            json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        return target


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
    progress: Progress | None = None,
) -> Power:
    """Simulate the declared trial many times and count what its own analyses find.

    Each replicate randomizes by the trial's mechanism, simulates the panel of `[power]`, and runs the primary
    and the secondary analyses that are not Bayesian. Replicate r is seeded by
    `SeedSequence(seed, spawn_key=(r,))` and computed in blocks of 64 by index, so the result is the same for
    any executor.

    Parameters
    ----------
    trial : Trial
    roster : pandas.DataFrame, optional
        Measured units; made up from `power.clusters` and `power.units` where absent.
    effects : mapping, optional
        Incidence rate ratios at dose 1 by outcome, instead of `power.effects`.
    sims, draws : int
        Replicates, and re-randomizations in each randomization test.
    seed : int, optional
        The trial's own seed where absent.
    executor : concurrent.futures.Executor, optional
        Where blocks are computed; in this process where absent.
    history : Panel, optional
        Not available yet.
    progress : callable, optional
        Called after each block with the replicates done, all of them, and the frame so far.

    Raises
    ------
    TrialError, DataError, AllocationError
        For a trial that cannot be randomized, simulated or analysed as declared.
    """
    if history is not None:
        raise RctError("power from an agency's history is not available yet; declare rates under [power]")
    if sims < 1:
        raise RctError(f"sims must be 1 or more, not {sims}")
    study = declared_study(trial, roster, effects=effects, draws=draws, seed=analysis.trial_seed(trial, seed))
    replicates = all_blocks(study, sims, executor, progress)
    return Power(
        frame=diagnose(replicates, trial.analysis.alpha),
        replicates=replicates,
        trial=trial,
        seed=study.seed,
        units=len(study.allocation.roster),
        randomized=len(study.allocation.frame),
        notes=analysis.notes(trial, study.allocation),
    )


def all_blocks(
    study: Study, sims: int, executor: Executor | None, progress: Progress | None
) -> "pd.DataFrame":
    """Compute blocks in whatever order they come, and put them together in the order of their index."""
    import pandas as pd

    spans = [(first, min(first + BLOCK, sims)) for first in range(0, sims, BLOCK)]
    done: dict[int, pd.DataFrame] = {}

    def keep(number: int, rows: "pd.DataFrame") -> None:
        done[number] = rows
        if progress is not None:
            so_far = pd.concat(list(done.values()))
            count = sum(spans[n][1] - spans[n][0] for n in done)
            progress(count, sims, diagnose(so_far, study.trial.analysis.alpha))

    if executor is None:
        for number, span in enumerate(spans):
            keep(number, run_block(study, *span))
    else:
        waiting: dict[Future[pd.DataFrame], int] = {
            executor.submit(run_block, study, *span): number for number, span in enumerate(spans)
        }
        for future in as_completed(waiting):
            keep(waiting[future], future.result())
    return pd.concat([done[number] for number in sorted(done)], ignore_index=True)
