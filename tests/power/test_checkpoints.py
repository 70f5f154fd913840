"""A study that is killed goes on from its whole blocks, and ends with the same bits."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

import rct
from rct import power

TRIAL = """
format = 1
name = "Six squads"
[units]
randomize = "squad"
measure = "officer"
id = "officer_id"
[arms]
control = "usual"
treatments = ["training"]
[schedule]
kind = "stepped-wedge"
periods = 8
baseline = 2
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = { estimator = "poisson", effect = "constant" }
seed = 1
[power]
effects = { force = 0.5 }
rates = { force = 0.5 }
clusters = 6
units = 60
untrained = 0.1
"""
CHECKOUT = Path(rct.__file__).parent.parent


def blocks(folder):
    return sorted(folder.glob("blocks-*/*.parquet"))


def command(folder, sims):
    words = [
        "power",
        str(folder / "trial.toml"),
        "--sims",
        str(sims),
        "--quiet",
        "--out",
        str(folder / "out"),
    ]
    return [sys.executable, "-m", "rct", *words]


def test_a_killed_study_goes_on_and_ends_with_the_same_bits(tmp_path):
    (tmp_path / "trial.toml").write_text(TRIAL, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    started = subprocess.Popen(command(tmp_path, 64_000), env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(blocks(tmp_path / "out")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    left = {file: file.stat().st_mtime_ns for file in blocks(tmp_path / "out")}
    assert len(left) >= 2
    seen = []
    trial = rct.Trial.parse(TRIAL)
    resumed = power.simulate(
        trial, sims=130, checkpoints=tmp_path / "out", progress=lambda done, _total, _frame: seen.append(done)
    )
    assert {file: file.stat().st_mtime_ns for file in left} == left
    assert seen[:2] == [64, 128]
    assert seen[-1] == 130
    straight = power.simulate(trial, sims=130)
    pd.testing.assert_frame_equal(resumed.replicates, straight.replicates, check_exact=True)


def test_any_executor_gives_the_same_bits():
    trial = rct.Trial.parse(TRIAL)
    alone = power.simulate(trial, sims=130, draws=99)
    with ThreadPoolExecutor(3) as threads:
        shared = power.simulate(trial, sims=130, draws=99, executor=threads)
    pd.testing.assert_frame_equal(alone.replicates, shared.replicates, check_exact=True)


def test_blocks_of_another_study_are_not_taken(tmp_path):
    trial = rct.Trial.parse(TRIAL)
    one = power.simulate(trial, sims=64, draws=99, checkpoints=tmp_path)
    other = power.simulate(trial, sims=64, draws=99, effects={"force": 0.9}, checkpoints=tmp_path)
    assert len({file.parent for file in blocks(tmp_path)}) == 2
    assert not one.replicates.equals(other.replicates)


def test_a_block_that_was_half_written_is_no_block(tmp_path):
    trial = rct.Trial.parse(TRIAL)
    power.simulate(trial, sims=64, draws=99, checkpoints=tmp_path)
    (file,) = blocks(tmp_path)
    file.rename(file.with_name("tmp_half"))
    again = power.simulate(trial, sims=64, draws=99, checkpoints=tmp_path)
    assert blocks(tmp_path) == [file]
    pd.testing.assert_frame_equal(pd.read_parquet(file), again.replicates, check_exact=True)
