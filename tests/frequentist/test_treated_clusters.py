"""An arm that one cluster alone has is named, and an effect that one cluster alone shows is refused."""

import numpy as np
import pandas as pd
import pytest

from rct.errors import EstimationError
from rct.frequentist import exposure_curve, first_differences, gee, linear, poisson, wild_bootstrap
from rct.frequentist.panel_layout import fit_layout, panel_layout
from rct.frequentist.treated_clusters import lone_arm, require_treated_clusters
from rct.panel import Panel

ARM = np.array([0, 0, 1, 1, -1, -1])


def test_the_arm_of_one_cluster_is_named():
    clusters = np.array([0, 1, 2, 2, 0, 2])
    with pytest.raises(EstimationError, match=r"one cluster alone is treated \(B; clusters: squad\)"):
        require_treated_clusters(["A", "B"], ARM, clusters, "squad")
    assert lone_arm([("A", clusters[:2])]) is None


def test_two_clusters_an_arm_are_enough_and_one_in_all_is_not():
    require_treated_clusters(["A", "B"], ARM, np.array([0, 1, 0, 1, 0, 1]), "squad")
    with pytest.raises(EstimationError, match="all rows lie in one cluster"):
        require_treated_clusters(["A", "B"], ARM, np.zeros(6, dtype=int), "squad")


def panel_of(starts):
    """Forty officers or two to a squad, eight months; one first month for each squad."""
    squads = len(starts)
    unit, month = np.indices((max(40, 2 * squads), 8))
    rate = np.random.default_rng(5).gamma(4, 0.25, squads)
    return Panel.from_frame(
        pd.DataFrame(
            {
                "officer": [f"{u:02d}" for u in unit.ravel()],
                "squad": (unit % squads).ravel(),
                "month": month.ravel() + 1,
                "start": np.array(starts)[unit % squads].ravel(),
                "force": np.random.default_rng(6).poisson(2 * rate[unit % squads]).ravel(),
                "moved": ((unit % squads == squads - 1) & (month > 3)).ravel().astype(float),
            }
        ).astype({"squad": str}),
        unit="officer", period="month", outcomes=["force"], starts="start", randomized="squad",
        covariates=["moved"],
    )  # fmt: skip


ROBUST = {
    "poisson": poisson,
    "poisson CR1": lambda p, o: poisson(p, o, correction="CR1"),
    "mean over exposure times": lambda p, o: poisson(p, o, effect="exposure-time", average=(1, 2)),
    "curve": lambda p, o: exposure_curve(p, o, average=(1, 2)),
    "linear": linear,
    "first differences": first_differences,
    "gee": gee,
    "wild bootstrap": lambda p, o: wild_bootstrap(p, o, draws=99, seed=1),
}


@pytest.mark.parametrize("estimator", ROBUST)
@pytest.mark.parametrize("others", [7, 43])
@pytest.mark.parametrize(("most", "lone"), [(5, 0), (0, 5)], ids=["one untreated", "one treated"])
def test_one_cluster_on_either_side_of_the_comparison_has_no_variance(estimator, others, most, lone):
    with pytest.raises(EstimationError, match=r"one cluster alone .*use a randomization test"):
        ROBUST[estimator](panel_of([most] * others + [lone]), "force")


@pytest.mark.parametrize("estimator", sorted(ROBUST.keys() - {"gee", "mean over exposure times", "curve"}))
@pytest.mark.parametrize("others", [[1, 1, 1, 0, 0, 0, 0], [1] * 20 + [0] * 23])
def test_one_cluster_that_changes_beside_others_treated_throughout_has_no_variance(estimator, others):
    with pytest.raises(EstimationError, match=r"the effect of treated rests on one cluster alone"):
        ROBUST[estimator](panel_of([5, *others]), "force")


@pytest.mark.parametrize("estimator", ROBUST)
@pytest.mark.parametrize(
    "starts", [[5] * 6 + [0, 0], [5] * 42 + [0, 0], [3, 3, 4, 4, 5, 5, 6, 6], [2, 3, 4, 5, 6, 7, 8, 0]]
)
def test_two_clusters_on_either_side_are_enough(estimator, starts):
    found = ROBUST[estimator](panel_of(starts), "force")
    assert np.isfinite(found.estimate)
    assert not found.std_error <= 0


@pytest.mark.parametrize("estimator", [poisson, linear, first_differences])
def test_a_covariate_that_sets_one_of_two_untreated_clusters_apart_leaves_one(estimator):
    with pytest.raises(EstimationError, match=r"the effect of treated rests on one cluster alone"):
        estimator(panel_of([5] * 6 + [0, 0]), "force", covariates=["moved"])


@pytest.mark.parametrize("others", [7, 43])
def test_a_layout_leaves_the_lone_one_to_the_general_path(others):
    panel = panel_of([5] * others + [0])
    assert fit_layout(panel_layout(panel, "force", ("unit", "period"), "constant", "cluster"),
                      panel.frame["force"].to_numpy(), "CR1") is None  # fmt: skip
