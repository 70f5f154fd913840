"""A posterior is its draws: what it says follows from them alone."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rct
from rct.estimates import COLUMNS
from rct.posterior import Posterior

PRIORS = {
    "effect": {"normal": [0.0, 0.5]},
    "intercept": {"normal": [-3.0, 3.0]},
    "period": {"zero-sum-normal": [2.0]},
    "heterogeneity": {"gamma": [2.0, 2.0]},
    "cluster_sd": {"half-normal": [0.3]},
    "cluster_period_sd": False,
}


def made(*, outcomes=("force",), arms=("ICAT",)) -> Posterior:
    import xarray as xr

    outer = {"outcome": list(outcomes)} if len(outcomes) > 1 else {}
    inner = {"arm": list(arms)} if len(arms) > 1 else {}
    coords = {"chain": [0, 1], "draw": np.arange(100), **outer, **inner}
    draws = np.random.default_rng(1).normal(size=tuple(len(labels) for labels in coords.values()))
    effect = xr.DataArray(draws * 0.1, dims=tuple(coords), coords=coords)
    for number, outcome in enumerate(outcomes):
        if outer:
            effect.loc[{"outcome": outcome}] += number
    for number, arm in enumerate(arms):
        if inner:
            effect.loc[{"arm": arm}] += 10 * number
    diverging = xr.DataArray(np.zeros((2, 100), dtype=bool), dims=("chain", "draw"))
    return Posterior(
        outcomes=outcomes,
        arms=arms,
        reference="usual",
        model="marginal",
        priors=PRIORS,
        diagnostics={
            "ok": True, "failures": [], "divergences": 0, "rhat": {"effect": 1.001},
            "ess_bulk": {"effect": 450.0}, "ess_tail": {"effect": 420.0}, "draws": 100, "chains": 2,
        },
        level=0.9,
        meta={
            name: {"n_units": 6, "n_clusters": 3, "n_events": 12.0, "baseline": 0.25, "warning": ""}
            for name in outcomes
        },
        source={
            "posterior": effect.to_dataset(name="effect"),
            "sample_stats": diverging.to_dataset(name="diverging"),
        },
    )  # fmt: skip


def test_the_row_summarises_the_draws():
    posterior = made()
    draws = posterior.effect_draws("force")
    row = posterior.frame.iloc[0]
    assert tuple(posterior.frame.columns) == COLUMNS
    assert row["estimate"] == draws.mean()
    assert row["std_error"] == draws.std(ddof=1)
    limits = np.quantile(draws, [0.05, 0.95])
    assert row[["conf_low", "conf_high"]].tolist() == pytest.approx(limits.tolist())
    assert row["probability_reduced"] == (draws < 0).mean()
    assert row["irr"] == pytest.approx(np.exp(draws.mean()))
    assert np.isnan(row["p_value"])
    assert row["inference"] == "posterior (marginal Poisson, nutpie, 2 × 100 draws)"


def test_probability_counts_ratios_below_a_value():
    posterior = made()
    assert (
        posterior.probability("force", below=0.95) == (posterior.effect_draws("force") < np.log(0.95)).mean()
    )
    with pytest.raises(rct.DataError, match="a rate ratio is above 0"):
        posterior.probability("force", below=0)


def test_outcomes_and_arms_are_chosen_by_name():
    posterior = made(outcomes=("force", "injury"), arms=("A", "B"))
    frame = posterior.frame.set_index(["outcome", "arm"])
    assert frame["estimate"].round().to_dict() == {
        ("force", "A"): 0, ("force", "B"): 10, ("injury", "A"): 1, ("injury", "B"): 11
    }  # fmt: skip
    with pytest.raises(rct.DataError, match="several arms; name one of A, B"):
        posterior.probability("force")
    with pytest.raises(rct.DataError, match="no outcome 'complaints'; it holds force, injury"):
        posterior.probability("complaints", arm="A")
    with pytest.raises(rct.DataError, match="no arm 'C'"):
        posterior.probability("force", arm="C")


def test_a_written_posterior_reads_back_equal_and_lazily(tmp_path):
    posterior = made(outcomes=("force", "Bürger"), arms=("A", "B"))
    folder = posterior.write(tmp_path / "fit")
    again = Posterior.read(folder)
    assert "groups" not in vars(again), "draws are read when looked at"
    assert again == posterior
    assert posterior.write(folder) == folder, "a fit may be replaced by a fit"
    assert again.idata["posterior"]["effect"].shape == (2, 100, 2, 2)
    assert not list(tmp_path.glob(".fit*"))


def test_a_fit_read_from_disk_can_be_written_onto_itself(tmp_path):
    folder = made().write(tmp_path / "fit")
    Posterior.read(folder).write(folder)
    assert Posterior.read(folder) == made()


def test_another_posterior_is_not_equal():
    assert made() != made(outcomes=("complaints",))
    assert made() != "force"


def test_folders_that_hold_something_else_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(rct.DataError, match="is no fit written by rct"):
        made().write(tmp_path)
    with pytest.raises(rct.DataError, match="holds no fit"):
        Posterior.read(tmp_path)


@pytest.mark.parametrize("lost", ["the new folder", "the process"])
def test_an_interrupted_write_leaves_the_fit_that_was_there(tmp_path, monkeypatch, lost):
    folder = made().write(tmp_path / "fit")
    other = made(outcomes=("complaints",))
    rename, renamed = Path.rename, []

    def fails(self, target):
        renamed.append(self)
        if Path(target) == folder and len(renamed) <= 2:
            raise {"the new folder": OSError, "the process": KeyboardInterrupt}[lost]
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fails)
        with pytest.raises((OSError, KeyboardInterrupt)):
            other.write(folder)
    assert Posterior.read(folder) == made()
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


@pytest.mark.parametrize("part", ["sample_stats", "posterior"])
def test_a_part_of_a_fit_is_refused_when_it_is_read(tmp_path, part):
    folder = made().write(tmp_path / "fit")
    shutil.rmtree(folder / part)
    with pytest.raises(rct.DataError, match=f"holds a part of a fit: the folder {part} is not there"):
        Posterior.read(folder)


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"rct": 5}'])
def test_attributes_that_are_no_fits_are_refused(tmp_path, text):
    (tmp_path / ".zattrs").write_text(text)
    with pytest.raises(rct.DataError, match="holds no fit"):
        Posterior.read(tmp_path)


def test_a_fit_of_another_version_names_what_it_lacks(tmp_path):
    folder = made().write(tmp_path / "fit")
    stated = json.loads((folder / ".zattrs").read_text())
    del stated["rct"]["level"]
    (folder / ".zattrs").write_text(json.dumps(stated))
    with pytest.raises(rct.DataError, match="a part of a fit: level is not there"):
        Posterior.read(folder)


def test_the_summary_says_what_a_reader_has_to_know():
    warned = replace(made(), meta={"force": made().meta["force"] | {"warning": "1 event in all"}})
    assert "  warning, force: 1 event in all" in warned.summary().splitlines()
    assert "warning" not in made().summary()


def test_priors_are_said_in_percent():
    words = made().priors_in_words()
    assert words[0] == "effect, normal(0, 0.5): 95 % from -62 % to +166 %; a reduction has probability 50 %"
    assert words[-1] == "cluster_period_sd: not in the model"
    assert len(words) == len(PRIORS)


def test_it_prints_on_one_screen():
    lines = repr(made()).splitlines()
    assert lines[1].startswith("  force, ICAT: ")
    assert len(lines) < 25
    assert max(map(len, lines)) < 130


def test_reading_a_posterior_imports_no_sampler(tmp_path):
    folder = made().write(tmp_path / "fit")
    code = (
        "import json, sys; from rct.posterior import Posterior; "
        f"p = Posterior.read({str(folder)!r}); p.frame; p == p; "
        "print(json.dumps([m for m in ('pymc', 'nutpie', 'arviz') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
