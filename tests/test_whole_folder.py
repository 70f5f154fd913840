"""Folders appear whole or not at all, also when the process is killed in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

from rct import DataError, Estimate, Estimates
from rct.whole_folder import left_behind, write_whole

KILLED = """
import os, sys
from pathlib import Path
from rct.whole_folder import write_whole

folder, at, times, rename = Path(sys.argv[1]), int(sys.argv[2]), 0, Path.rename

def killed(self, target):
    global times
    times += 1
    if times == at:
        os._exit(9)
    return rename(self, target)

Path.rename = killed
write_whole(folder, lambda new: (new / "estimates.json").write_text("new"))
"""


def estimates_of(outcome):
    return Estimates(
        (
            Estimate(
                outcome=outcome, term="t", method="m", inference="i", estimand="e", scale="log", estimate=0.0
            ),
        )
    )


@pytest.mark.parametrize("at", [1, 2])
def test_what_was_there_survives_a_process_that_is_killed_at_either_rename(tmp_path, at):
    """The old folder was removed before the new one bore its name: a kill in between lost both."""
    folder = estimates_of("old").write(tmp_path / "estimates [1]")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(at)], check=False)
    assert ended.returncode == 9
    if at == 2:
        with pytest.raises(DataError, match="run `rct estimate` first. A write that was broken off left"):
            Estimates.read(folder)
        (kept,) = tmp_path.glob("*-replaced")
        kept.rename(folder)
    assert Estimates.read(folder) == estimates_of("old")
    (new,) = (path for path in tmp_path.iterdir() if path != folder)
    assert (new / "estimates.json").read_text() == "new"


def test_what_was_there_is_back_when_the_new_folder_cannot_bear_its_name(tmp_path, monkeypatch):
    folder = estimates_of("old").write(tmp_path / "estimates")
    rename, renamed = Path.rename, []

    def fails(self, target):
        renamed.append(self)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        with pytest.raises(KeyboardInterrupt):
            estimates_of("new").write(folder)
    assert Estimates.read(folder) == estimates_of("old")
    assert [path.name for path in tmp_path.iterdir()] == ["estimates"]
    estimates_of("new").write(folder)
    assert Estimates.read(folder) == estimates_of("new")
    assert [path.name for path in tmp_path.iterdir()] == ["estimates"]


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path):
    def fill(folder):
        (folder / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "deep" / "target", fill)
    assert list((tmp_path / "deep").iterdir()) == []
    assert left_behind(tmp_path / "nowhere" / "target") == ""
