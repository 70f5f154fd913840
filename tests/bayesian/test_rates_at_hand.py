"""Events averted among the units at hand: beside gamma laws, officer by officer, and the truth simulated."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import rct
from rct.bayesian import rates_at_hand
from rct.bayesian.cell_rates import UnitRates
from rct.bayesian.priors import DEFAULTS
from rct.bayesian.rates_at_hand import of_units, with_rates_at_hand
from rct.posterior import Posterior

RATE, EFFECT, PHI, AGAIN = 0.2, -0.3, 0.7, 1500
PRIORS = {name: DEFAULTS[name] for name in ("effect", "intercept", "heterogeneity")} | dict.fromkeys(
    ("period", "block", "cluster_sd", "cluster_period_sd"), False
)


def simulated(rng, *, officers=40, before=6, after=6, equal=False):
    """Give officers, the first half of them trained, and the true untreated rate of that half."""
    months = before + after
    exposure = np.ones(officers) if equal else rng.uniform(0.5, 1.5, officers)
    u = rng.gamma(PHI, 1 / PHI, officers)
    half = np.arange(officers) < officers // 2
    on = half[:, None] & (np.arange(months) >= before)
    count = rng.poisson(RATE * (u * exposure)[:, None] * np.exp(EFFECT * on))
    cells = pd.DataFrame({"arm": ["treated"] * 2, "treated": [0.0, 1.0]})
    rates = UnitRates(
        units=tuple(f"o{i:03d}" for i in range(officers)),
        row_unit=np.repeat(np.arange(officers), months), row_cell=on.ravel().astype(np.int64),
        row_cluster=np.repeat("all", officers * months), exposure=np.repeat(exposure, months),
        count=count.ravel().astype(float), cells=cells,
        log_rate=np.full((AGAIN, 2), np.log(RATE)), log_effect=np.tile([0.0, EFFECT], (AGAIN, 1)),
        heterogeneity=np.full(AGAIN, PHI),
    )  # fmt: skip
    return rates, RATE * (u * exposure)[half].sum() / exposure[half].sum()


def test_officers_alike_have_one_gamma_between_them():
    """All trained at once with equal exposure: their sum is Gamma(n phi + Y, phi + S)."""
    rates, _ = simulated(np.random.default_rng(1), equal=True)
    treated = rates.row_unit < 20
    one = replace(
        rates, units=rates.units[:20], row_unit=rates.row_unit[treated], row_cell=rates.row_cell[treated],
        row_cluster=rates.row_cluster[treated], exposure=rates.exposure[treated], count=rates.count[treated],
    )  # fmt: skip
    (found,) = of_units(one, [one], np.random.default_rng(2))
    expected = RATE * 6 * (1 + np.exp(EFFECT))
    law = stats.gamma(20 * PHI + one.count.sum(), scale=RATE / 20 / (PHI + expected))
    assert stats.kstest(found, law.cdf).pvalue > 0.01


def test_profiles_together_draw_what_officers_one_by_one_do():
    rates, _ = simulated(np.random.default_rng(3), equal=True)
    (together,) = of_units(rates, [rates], np.random.default_rng(4))
    expected, rng = rates.expected(), np.random.default_rng(5)
    each = rng.gamma(PHI + rates.events, 1 / (PHI + expected))
    alone = RATE * each[:, :20].mean(axis=1)
    assert stats.ks_2samp(together, alone).pvalue > 0.01


@pytest.mark.parametrize("equal", [True, False])
def test_the_truth_of_the_officers_at_hand_is_covered(equal):
    """With the parameters known the conjugate posterior covers exactly: 80 % in 400 panels, ± 4 SE."""
    rng, inside, panels = np.random.default_rng(6), 0, 400
    for _ in range(panels):
        rates, truth = simulated(rng, officers=12, equal=equal)
        few = replace(rates, **{
            name: getattr(rates, name)[:400] for name in ("log_rate", "log_effect", "heterogeneity")
        })  # fmt: skip
        (drawn,) = of_units(few, [few], rng)
        low, high = np.quantile(drawn, [0.1, 0.9])
        inside += low < truth < high
    assert inside / panels == pytest.approx(0.8, abs=0.08)


def test_long_histories_tell_the_rate_and_no_history_leaves_the_law_of_all_officers():
    spread = []
    for before in (1, 200):
        rates, _ = simulated(np.random.default_rng(7), before=before, after=1)
        spread.append(of_units(rates, [rates], np.random.default_rng(8))[0].std())
    assert spread[1] < spread[0] / 3
    unknown = replace(rates, exposure=rates.exposure * 1e-9, count=np.zeros_like(rates.count))
    (drawn,) = of_units(unknown, [unknown], np.random.default_rng(9))
    weight = np.unique(rates.exposure[rates.row_cell == 1])
    spread_of_all = RATE * np.sqrt((weight**2).sum() / PHI) / weight.sum()
    assert [drawn.mean(), drawn.std()] == pytest.approx([RATE, spread_of_all], rel=0.1)


def panel_and_fit(frame):
    panel = rct.Panel.from_frame(
        frame, unit="officer", period="month", outcomes=["force", "injury"], treated="on", exposure="exposure"
    )
    rng = np.random.default_rng(1)
    drawn = {
        name: (("chain", "draw", "outcome"), mean + 0.1 * rng.normal(size=(2, 50, 2)))
        for name, mean in (("effect", EFFECT), ("intercept", np.log(RATE)), ("heterogeneity", PHI))
    }
    meta = {
        name: {"n_units": 8, "n_clusters": 8, "n_events": float(frame[name].sum()), "baseline": RATE}
        for name in ("force", "injury")
    }
    return panel, Posterior(
        outcomes=("force", "injury"), arms=tuple(panel.treatments), reference="control", model="marginal",
        priors=PRIORS, diagnostics={"seed": 3}, level=0.95, meta=meta,
        source={"posterior": xr.Dataset(drawn), "sample_stats": xr.Dataset()},
    )  # fmt: skip


def test_equal_seeds_give_equal_rates_in_any_order_of_rows_and_size_of_parts(monkeypatch):
    rng = np.random.default_rng(2)
    i, month = np.repeat(np.arange(8), 5), np.tile(np.arange(1, 6), 8)
    force = rng.poisson(1.0, 40)
    frame = pd.DataFrame({
        "officer": [f"o{k}" for k in i], "month": month, "on": ((month > 2) & (i % 2 == 0)).astype(float),
        "exposure": 1.0 + i // 3, "force": force, "injury": force,
    })  # fmt: skip
    panel, fit = panel_and_fit(frame)
    found = with_rates_at_hand(fit, panel)["untreated_rate"]
    monkeypatch.setattr(rates_at_hand, "MOST_EFFECTS", 20)
    shuffled, _ = panel_and_fit(frame.sample(frac=1, random_state=1))
    assert found.equals(with_rates_at_hand(fit, shuffled)["untreated_rate"])
    other = replace(fit, diagnostics={"seed": 4})
    assert not found.equals(with_rates_at_hand(other, panel)["untreated_rate"])
    # Outcomes that are no parts of each other have effects of their own, whatever their counts.
    alike = fit.groups["posterior"].copy()
    for name in ("effect", "intercept", "heterogeneity"):
        alike[name][:, :, 1] = alike[name][:, :, 0]
    same = with_rates_at_hand(replace(fit, source={"posterior": alike}), panel)["untreated_rate"]
    ratio = same.isel(outcome=1) / same.isel(outcome=0)
    assert float(ratio.std()) > 0.05


def test_the_committed_table_covers_and_its_command_runs(monkeypatch):
    folder = Path(__file__).parents[2] / "validation"
    table = pd.read_csv(folder / "averted_at_hand.csv")
    assert table["trials"].min() >= 300
    wide = table.pivot_table(index=["officers", "before"], columns="rate", values=["covers_80", "width"])
    assert wide["covers_80", "at hand"].between(0.75, 0.85).all(), "within two Monte-Carlo sd of .80"
    assert (table.loc[table["rate"] == "at hand", "covers_95"] > 0.93).all()
    assert (wide["width", "at hand"] < wide["width", "average"]).all()
    monkeypatch.syspath_prepend(folder)
    study = importlib.import_module("averted_at_hand")
    assert study.words(table) == (folder / "averted_at_hand.md").read_text()
    monkeypatch.setattr(study, "SETTINGS", ((20, 2, 2),))
    assert list(study.table(1)["rate"]) == ["at hand", "average"]
