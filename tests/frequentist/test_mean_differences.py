"""Differences in means against R on a real trial, statsmodels, and cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import DataError, EstimationError
from rct.frequentist import difference_in_means, poisson, randomization_test
from rct.panel import Panel

from .conftest import data_file

DISTRICT_OUTCOMES = ["use_of_force", "all_complaints", "traffic_arrest"]


def trial_frame(n=40):
    """Forty officers in ten blocks, half of the blocks treated with probability 1/4, half with 1/2."""
    i = np.arange(n)
    block = i // 4
    share = np.where(block % 2 == 0, 0.25, 0.5)
    treated = (i % 4 == 0) | ((block % 2 == 1) & (i % 4 == 2))
    return pd.DataFrame(
        {
            "officer": [f"{k:02d}" for k in i],
            "block": [f"b{b}" for b in block],
            "treated": treated.astype(int),
            "probability": np.where(treated, share, 1 - share),
            "force": (i * i * 7 + 3 * i) % 11 + block % 2,
            "before": (i * 5 + block) % 9,
        }
    )


def trial_panel(frame, **options):
    options = {"treated": "treated", "probability": "probability", **options}
    return Panel.from_frame(
        frame,
        unit="officer",
        period=None,
        outcomes=["force"],
        block="block",
        covariates=["before"],
        **options,
    )


@pytest.fixture(scope="session")
def district():
    """The officers of a district of Washington DC: counts, and rates for a thousand officer-years."""
    frame = pd.read_csv(data_file("washington_dc/bwc_district_1d.csv"))
    rates = [f"{name}_1000_rate_post" for name in DISTRICT_OUTCOMES]
    return Panel.from_frame(
        frame.assign(own=frame["prob_1"].where(frame["Z"] == 1, 1 - frame["prob_1"])),
        unit="ID_anon",
        period=None,
        outcomes=[*rates, *[f"{name}_post" for name in DISTRICT_OUTCOMES]],
        treated="Z",
        block="block_id",
        probability="own",
        covariates=[f"{name}_1000_rate_pre" for name in DISTRICT_OUTCOMES],
        fractional=rates,
    )


@pytest.mark.parametrize("outcome", DISTRICT_OUTCOMES)
def test_r_s_fits_of_a_district_of_washington_are_found_again(district, references, outcome):
    rate, before = f"{outcome}_1000_rate_post", f"{outcome}_1000_rate_pre"
    for name, ours in (
        ("ipw_hc2", difference_in_means(district, rate)),
        ("pairs_hc2", difference_in_means(district, rate, block_effects=True)),
        ("lin_hc2", difference_in_means(district, rate, covariates=[before], adjust="lin")),
        ("poisson_hc0", poisson(district, f"{outcome}_post", fixed_effects=(), correction="CR0")),
    ):
        reference = references[f"dc/{outcome}/{name}"]
        assert ours.estimate == pytest.approx(reference["value"], rel=reference["tolerance"]["rel"])
        assert ours.std_error == pytest.approx(reference["se"], rel=reference["tolerance"]["rel_se"])


def test_officers_without_a_partner_have_leverage_one_and_are_counted(district):
    ours = difference_in_means(district, "use_of_force_1000_rate_post", block_effects=True)
    assert (ours.notes["leverage_one"], ours.n_units, ours.df) == (2, 282, pytest.approx(140))
    assert "2 units of leverage one" in ours.warning


@pytest.mark.parametrize("outcome", DISTRICT_OUTCOMES)
def test_flipping_the_pairs_of_the_district_gives_r_s_p_value(district, references, outcome):
    rows = district.frame.drop_duplicates("unit").sort_values("unit", ignore_index=True)
    pair = rows.groupby("block")["unit"].transform("size") == 2
    code = pd.factorize(rows["block"])[0]
    flips = np.random.default_rng(5).integers(0, 2, (50_000, code.max() + 1), dtype=np.int8)
    draws = np.where(pair, np.abs(flips[:, code] - rows["treated"].to_numpy(dtype=np.int8)), rows["treated"])

    rate = rows[f"{outcome}_1000_rate_post"].to_numpy()[pair]
    observed = abs((2 * rows["treated"].to_numpy()[pair] - 1) @ rate)

    def within_pairs(counts, exposure, doses, arms, null):
        # Rates are rounded in the file, so draws that tie in counts are apart in the tenth digit, and R takes
        # them so. A steep increasing function sets them apart by more than the tolerance for ties.
        ratio = ((2 * doses[:, pair, 0] - 1) @ counts[pair, 0]) / observed
        return np.sign(ratio) * (2 + np.tanh(1e4 * (abs(ratio) - 1)))

    test = randomization_test(
        district,
        f"{outcome}_1000_rate_post",
        allocation=draws.astype(np.int64),
        statistic=within_pairs,
        seed=1,
    )
    reference = references[f"dc/{outcome}/pair_flip_p"]
    assert test.p_value == pytest.approx(reference["value"], abs=reference["tolerance"]["abs"])


@pytest.mark.parametrize("outcome", DISTRICT_OUTCOMES)
def test_on_counts_equal_draws_are_ties_and_the_p_value_is_the_exact_one(district, outcome):
    """R's reference sets ties apart by the tenth digit of rounded rates; counts have them, and they count.

    Exact: the distribution of the sum of the pairs' signed differences, by convolution.
    """
    rows = district.frame.drop_duplicates("unit").sort_values("unit", ignore_index=True)
    pair = rows.groupby("block")["unit"].transform("size") == 2
    sign, count = 2 * rows["treated"].to_numpy()[pair] - 1, rows[f"{outcome}_post"].to_numpy()[pair]
    differences = pd.Series(sign * count).groupby(rows["block"][pair].to_numpy()).sum().to_numpy(dtype=int)
    law = np.ones(1)
    for difference in np.abs(differences):
        law = np.convolve(law, np.bincount([0, 2 * difference], minlength=2 * difference + 1) / 2)
    sums = np.arange(len(law)) - np.abs(differences).sum()
    exact = law[np.abs(sums) >= abs(differences.sum())].sum()

    code = pd.factorize(rows["block"])[0]
    flips = np.random.default_rng(5).integers(0, 2, (20_000, code.max() + 1), dtype=np.int8)
    draws = np.where(pair, np.abs(flips[:, code] - rows["treated"].to_numpy(dtype=np.int8)), rows["treated"])
    scale = 1 / 3  # sums of thirds differ in the last bit although the counts tie

    def within_pairs(counts, exposure, doses, arms, null):
        return (2 * doses[:, pair, 0] - 1) @ (counts[pair, 0] * scale)

    test = randomization_test(
        district, f"{outcome}_post", allocation=draws.astype(np.int64), statistic=within_pairs, seed=1
    )
    assert test.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_unequal_probabilities_of_blocks_are_weighted_away():
    frame = trial_frame()
    # The blocks differ by 100, treatment does nothing: only weights or block effects see it.
    frame["force"] = 100.0 * (frame["block"].str[1].astype(int) % 2) + frame.groupby("treated").cumcount() % 2
    panel = trial_panel(frame)
    weighted, plain = (difference_in_means(panel, "force", weights=w) for w in ("probability", None))
    blocked = difference_in_means(panel, "force", weights=None, block_effects=True)
    assert abs(weighted.estimate) < 1
    assert abs(blocked.estimate) < 1
    assert plain.estimate > 20


@pytest.mark.parametrize("block_effects", [False, True])
def test_weights_covariates_and_blocks_equal_statsmodels(block_effects):
    import statsmodels.formula.api as smf

    frame = trial_frame()
    formula = "force ~ treated + before" + (" + C(block)" if block_effects else "")
    theirs = smf.wls(formula, frame, weights=1 / frame["probability"]).fit(cov_type="HC2")
    ours = difference_in_means(
        trial_panel(frame), "force", covariates=["before"], block_effects=block_effects
    )
    assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-10)
    assert ours.std_error == pytest.approx(theirs.bse["treated"], rel=1e-10)


@pytest.mark.parametrize("alone", [0, 2])
def test_lin_s_effect_is_at_the_mean_of_the_units_that_count(alone):
    """Statsmodels on products with the covariate less its plain mean, units alone in their block left out."""
    import statsmodels.formula.api as smf

    frame = trial_frame()
    frame.loc[frame.index[:alone], "block"] = [f"alone {i}" for i in range(alone)]
    used = frame[alone:].assign(centred=lambda f: f["before"] - f["before"].mean())
    formula = "force ~ treated * centred + C(block)"
    theirs = smf.wls(formula, used, weights=1 / used["probability"]).fit(cov_type="HC2")
    ours = difference_in_means(
        trial_panel(frame), "force", covariates=["before"], adjust="lin", block_effects=True
    )
    assert ours.estimate == pytest.approx(theirs.params["treated"], rel=1e-10)
    assert ours.std_error == pytest.approx(theirs.bse["treated"], rel=1e-10)
    assert ours.notes["leverage_one"] == alone


def test_the_percent_change_is_a_share_of_the_weighted_control_rate():
    frame = trial_frame()
    control = frame[frame["treated"] == 0]
    weighted, plain = (
        difference_in_means(trial_panel(frame), "force", weights=w) for w in ("probability", None)
    )
    by_hand = np.average(control["force"], weights=1 / control["probability"])
    assert weighted.baseline == pytest.approx(by_hand)
    assert plain.baseline == pytest.approx(control["force"].mean())
    assert weighted.baseline != pytest.approx(plain.baseline, rel=1e-3)


def test_an_arm_of_several_doses_is_refused_and_one_dose_is_named():
    frame = trial_frame().assign(treated=lambda f: f["treated"] * np.where(f.index % 4 == 0, 1.0, 0.5))
    with pytest.raises(EstimationError, match=r"treated is given in doses 0\.5, 1"):
        difference_in_means(trial_panel(frame), "force")
    half = trial_panel(trial_frame().assign(treated=lambda f: f["treated"] * 0.5))
    assert difference_in_means(half, "force").estimand.endswith("at dose 0.5")


def test_a_covariate_that_varies_after_treatment_began_is_told():
    months = [trial_frame().assign(month=m, start=lambda f: 2 * f["treated"]) for m in (1, 2, 3)]
    for change, told in ((0, False), (1, True)):
        long = pd.concat([own.assign(before=own["before"] + change * own["month"]) for own in months])
        panel = Panel.from_frame(
            long, unit="officer", period="month", outcomes=["force"], starts="start",
            probability="probability", covariates=["before"],
        )  # fmt: skip
        ours = difference_in_means(panel, "force", covariates=["before"])
        assert ("before varies from period to period" in ours.warning) == told


def test_an_officer_who_changes_squad_is_counted_once():
    frame = trial_frame()
    long = pd.concat([frame.assign(month=m, squad="s" + frame["officer"].str[0]) for m in (1, 2)])
    long["squad"] += np.where((long["officer"] == "00") & (long["month"] == 2), "x", "")
    long.loc[long["squad"] == "s0x", "squad"] = "s1"
    long["treated"] = long["squad"].isin(["s1", "s3"]).astype(int)
    panel = Panel.from_frame(
        long, unit="officer", period="month", outcomes=["force"], treated="treated", randomized="squad"
    )
    ours = difference_in_means(panel, "force", weights=None)
    assert (ours.n_units, ours.n_clusters) == (40, 4)


def test_two_groups_of_equal_size_have_neyman_s_variance_and_n_minus_two_degrees():
    frame = trial_frame().assign(treated=[0, 1] * 20, probability=0.5)
    ours = difference_in_means(trial_panel(frame), "force")
    groups = [own["force"] for _, own in frame.groupby("treated")]
    assert ours.estimate == pytest.approx(groups[1].mean() - groups[0].mean())
    assert ours.std_error**2 == pytest.approx(sum(g.var() / len(g) for g in groups))
    assert ours.df == pytest.approx(38)
    assert ours.baseline == pytest.approx(groups[0].mean())


def test_several_arms_are_each_compared_with_control():
    frame = trial_frame().assign(
        arm=["A", "B", "usual", "usual"] * 10, probability=[0.25, 0.25, 0.5, 0.5] * 10
    )
    frame["treated"] = (frame["arm"] != "usual").astype(int)
    rows = difference_in_means(trial_panel(frame, arm="arm"), "force")
    control = frame.loc[frame["arm"] == "usual", "force"].mean()
    assert [row.arm for row in rows] == ["A", "B"]
    for row in rows:
        assert row.estimate == pytest.approx(frame.loc[frame["arm"] == row.arm, "force"].mean() - control)


def test_officers_are_added_up_to_the_units_that_were_randomized():
    frame = trial_frame().assign(squad=lambda f: "s" + (f["officer"].astype(int) // 2).astype(str))
    frame["treated"] = frame["officer"].astype(int) // 2 % 2
    ours = difference_in_means(trial_panel(frame, randomized="squad"), "force", weights=None)
    squads = frame.groupby("squad").agg(rate=("force", "mean"), treated=("treated", "first"))
    means = squads.groupby("treated")["rate"].mean()
    assert ours.estimate == pytest.approx(means[1] - means[0])
    assert (ours.n_clusters, ours.n_units) == (20, 40)


def test_periods_before_treatment_are_left_out():
    frame = trial_frame()
    long = pd.concat(
        [frame.assign(month=m, force=frame["force"] * (10 if m < 3 else 1)) for m in (1, 2, 3, 4)]
    )
    long["start"] = np.where(long["treated"] == 1, 3, 0)
    panel = Panel.from_frame(
        long, unit="officer", period="month", outcomes=["force"], starts="start", probability="probability"
    )
    assert difference_in_means(panel, "force").estimate == pytest.approx(
        difference_in_means(trial_panel(frame), "force").estimate
    )


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.assign(treated=0), {}, "no row of the panel is treated"),
        (lambda f: f.assign(treated=1), {}, "nothing to compare with"),
        (lambda f: f.assign(treated=[1] + [0] * 39), {}, "treated has fewer than two"),
        (lambda f: f.assign(treated=[0] + [1] * 39), {}, "control has fewer than two"),
        (lambda f: f.assign(force=0), {}, "all zeros"),
        (lambda f: f.assign(before=3), {"covariates": ["before"]}, "covariate before is the same"),
        (lambda f: f.assign(before=f["treated"]), {"covariates": ["before"]}, "before: explained by"),
        (lambda f: f.assign(probability=np.nan), {}, "probability of the assignment is not known"),
        (lambda f: f, {"adjust": "lin"}, "name them"),
        (lambda f: f, {"level": 95}, "level"),
    ],
)
def test_a_design_without_an_answer_is_refused(change, options, message):
    with pytest.raises(EstimationError, match=message):
        difference_in_means(trial_panel(change(trial_frame())), "force", **options)


def test_a_staggered_trial_is_refused(equal_exposure):
    with pytest.raises(EstimationError, match="does not begin for all in one period"):
        difference_in_means(equal_exposure, "force", weights=None)


def test_unknown_covariates_are_named():
    with pytest.raises(DataError, match="age"):
        difference_in_means(trial_panel(trial_frame()), "force", covariates=["age"])
