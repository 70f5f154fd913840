"""A small trial, its roster, and the command line run in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from rct.cli.app import app

TRIAL = """\
format = 1
name = "Six squads"
question = "Does training reduce force?"

[units]
randomize = "squad"
measure = "officer"
id = "officer_id"

[arms]
control = "usual"
treatments = ["training"]

[schedule]
kind = "stepped-wedge"
start = 2024-01-01
period = "month"
periods = 8
baseline = 2

[[outcomes]]
name = "force"
primary = true

[analysis]
primary = { estimator = "poisson", effect = "constant" }
secondary = [{ estimator = "poisson", effect = "exposure-time", average = [1, 2] }]
draws = 99
seed = 1

[power]
effects = { force = 0.5 }
rates = { force = 0.5 }
clusters = 6
units = 60
assumptions = ["A rate of one half is assumed."]
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Rct = Callable[..., Said]


@pytest.fixture
def rct_command() -> Rct:
    """Give a function that runs ``rct`` with the given words."""

    def run(*words: str | Path) -> Said:
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a folder with ``trial.toml`` and ``roster.csv``, 6 squads of 10 officers."""
    (tmp_path / "trial.toml").write_text(TRIAL, encoding="utf-8")
    write_roster(tmp_path / "roster.csv", squads=[f"squad {1 + number // 10}" for number in range(60)])
    return tmp_path


@pytest.fixture
def allocated(here: Path, rct_command: Rct) -> Path:
    """Give the same folder with ``allocation``."""
    words = ("--roster", here / "roster.csv", "--seed", "a test", "--out", here / "allocation")
    assert rct_command("randomize", here / "trial.toml", *words).code == 0
    return here


@pytest.fixture
def simulated(allocated: Path, rct_command: Rct) -> Path:
    """Give the same folder with ``panel.parquet`` too."""
    words = ("--allocation", allocated / "allocation", "--seed", "1", "--out", allocated / "panel.parquet")
    assert rct_command("simulate", allocated / "trial.toml", *words).code == 0
    return allocated


def write_roster(
    path: Path, *, squads: list[str], ids: list[str] | None = None, **columns: list[str]
) -> Path:
    """Write a roster; officers are named 0001, 0002, … where no ids are given."""
    officers = ids or [f"{number:04d}" for number in range(1, len(squads) + 1)]
    pd.DataFrame({"officer_id": officers, "squad": squads, **columns}).to_csv(path, index=False)
    return path
