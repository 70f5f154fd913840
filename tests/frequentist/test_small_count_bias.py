"""The bias of few counts: against its formula on a design written out, and a sum over all outcomes."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson as poisson_distribution

from rct.frequentist import poisson
from rct.panel import Panel


def wedge(rate, seed=5):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame([(f"d{u}", t, 3 + u // 2) for u in range(6) for t in range(1, 9)]).set_axis(
        ["division", "month", "start"], axis=1
    )
    frame["officers"] = 20.0 + 5 * (frame["division"] == "d1") + frame["month"] % 2
    return frame.assign(force=rng.poisson(rate * frame["officers"] / 20))


def panel_of(frame):
    return Panel.from_frame(
        frame, unit="division", period="month", outcomes=["force"], starts="start", exposure="officers"
    )


@pytest.mark.parametrize("correction", ["CR1", "CR2"])
def test_it_is_the_formula_on_all_columns_of_the_design(correction):
    import statsmodels.api as sm

    frame = wedge(6)
    exposure_time = np.maximum(frame["month"] - frame["start"] + 1, 0)
    terms = pd.get_dummies(exposure_time)[range(1, 7)]
    effects = [pd.get_dummies(frame["division"]), pd.get_dummies(frame["month"]).iloc[:, 1:]]
    columns = np.hstack([*effects, terms]).astype(float)
    fit = sm.GLM(
        frame["force"], columns, sm.families.Poisson(), offset=np.log(frame["officers"])
    ).fit(tol=1e-13)  # fmt: skip
    weight = np.asarray(fit.fittedvalues)
    inverse = np.linalg.inv(columns.T @ (columns * weight[:, None]))
    xi = -np.diag(columns @ inverse @ columns.T) / 2
    bias = (inverse @ columns.T @ (weight * xi))[-6:]
    panel = panel_of(frame)
    each = poisson(panel, "force", effect="exposure-time", correction=correction)
    assert [row.notes["small_count_bias"] for row in each] == pytest.approx(bias, rel=1e-7)
    mean = poisson(panel, "force", effect="exposure-time", average=(1, 3), correction=correction)
    assert mean.notes["small_count_bias"] == pytest.approx(bias[:3].mean(), rel=1e-7)


def test_two_units_in_two_periods_are_biased_by_what_all_their_counts_add_up_to():
    # log(a d / (b c)) of independent counts, each log biased by E log y − log mean, zeros left out.
    means = np.array([40.0, 50.0, 60.0, 30.0])
    y = np.arange(1, 200)
    each = [poisson_distribution.pmf(y, m) @ np.log(y) - np.log(m) for m in means]
    exact = each[3] - each[2] - each[1] + each[0]
    frame = pd.DataFrame(
        {"division": ["a", "a", "b", "b"], "month": [1, 2, 1, 2], "start": [0, 0, 2, 2],
         "officers": 20.0, "force": means.astype(int)}
    )  # fmt: skip
    ours = poisson(panel_of(frame), "force", effect="exposure-time", correction="model")
    (row,) = ours
    assert row.notes["small_count_bias"] == pytest.approx(exact, rel=0.1)


def test_it_is_told_where_it_is_more_than_a_quarter_of_the_standard_error_and_only_of_exposure_times():
    few, many = (
        poisson(panel_of(wedge(rate)), "force", effect="exposure-time", correction="model")
        for rate in (0.6, 400)
    )
    for row in (*few, *many):
        share = abs(row.notes["small_count_bias"]) / row.std_error
        assert ("few events: expected to lie" in row.warning) == (share > 0.25)
    assert any("few events" in row.warning for row in few)
    assert not any("few events" in row.warning for row in many)
    constant = poisson(panel_of(wedge(0.6)), "force", correction="model")
    assert "small_count_bias" not in constant.notes
