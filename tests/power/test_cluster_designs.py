"""Designs of clusters × periods: published closed forms, invariances, and questions without an answer."""

import math

import numpy as np
import pytest

from rct import RctError, power

WEDGE = [[0] * (1 + step) + [1] * (9 - step) for step in range(9)]
NESTED = {"icc": 0.05, "cac": 0.8}


def test_hussey_and_hughes_printed_formula_is_reproduced():
    X = np.array(WEDGE, dtype=float)
    clusters, periods = X.shape
    tau, sigma = 0.02, 0.98 / 60
    U, W, V = X.sum(), (X.sum(axis=0) ** 2).sum(), (X.sum(axis=1) ** 2).sum()
    numerator = clusters * sigma * (sigma + periods * tau)
    rest = (U**2 + clusters * periods * U - periods * W - clusters * V) * tau
    expected = numerator / ((clusters * U - W) * sigma + rest)
    assert power.cluster_variance(WEDGE, cell_size=60, icc=0.02) == pytest.approx(expected, rel=1e-12)


def test_a_two_period_crossover_needs_no_matrix():
    design, k, m, (icc, cac) = [[0, 1], [1, 0]] * 5, 10, 60, (0.04, 0.9)
    expected = 2 * (icc * (1 - cac) + (1 - icc) / m) / k
    found = power.cluster_variance(design, cell_size=m, icc=icc, cac=cac)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_parallel_trial_has_the_variance_of_two_means():
    found = power.cluster_variance([[0], [1]] * 6, cell_size=40, icc=0.05, total_variance=3)
    assert found == pytest.approx(2 * 3 * (1 + 39 * 0.05) / 40 / 6, rel=1e-12)


def test_order_of_clusters_labels_of_arms_and_unobserved_clusters_do_not_matter():
    sizes = np.array([30, 45, 52, 60, 61, 66, 75, 80, 120])
    variance = power.cluster_variance(WEDGE, cell_size=sizes, **NESTED)
    again = power.cluster_variance(WEDGE[::-1], cell_size=sizes[::-1], **NESTED)
    mirrored = power.cluster_variance(1 - np.array(WEDGE), cell_size=sizes, **NESTED)
    empty = power.cluster_variance([*WEDGE, [None] * 10], cell_size=[*sizes, 1], **NESTED)
    assert [again, mirrored, empty] == pytest.approx([variance] * 3, rel=1e-11)


def test_copies_divide_the_variance_and_count_in_the_degrees_of_freedom():
    one = power.cluster_design(WEDGE, effect=0.1, cell_size=60, icc=0.02, distribution="noncentral-t")
    two = power.cluster_design(
        [*WEDGE, *WEDGE], effect=0.1, cell_size=60, icc=0.02, distribution="noncentral-t"
    )
    copied = power.cluster_design(
        WEDGE, effect=0.1, cell_size=60, icc=0.02, copies=2, distribution="noncentral-t"
    )
    assert (one.df, copied.df) == (7, 16)
    assert copied.power == pytest.approx(two.power, rel=1e-12)
    assert copied.variance == pytest.approx(one.variance / 2)


@pytest.mark.parametrize("distribution", ["normal", "noncentral-t", "shifted-t"])
@pytest.mark.parametrize("unknown", ["effect", "cell_size", "copies"])
def test_a_solved_quantity_has_the_power_it_was_solved_for(unknown, distribution):
    arguments = {"effect": 0.12, "cell_size": 60, "copies": 1, "icc": 0.02, "distribution": distribution}
    answer = power.cluster_design(WEDGE, **arguments | {unknown: None}, power=0.8)
    again = power.cluster_design(WEDGE, **arguments | {unknown: getattr(answer, unknown)})
    assert answer.solved == unknown
    if unknown == "copies":
        fewer = power.cluster_design(WEDGE, **arguments | {"copies": answer.copies - 1})
        assert fewer.power < 0.8 <= again.power
    else:
        assert again.power == pytest.approx(0.8, abs=1e-9)


def test_the_t_lies_below_the_normal_and_the_shifted_t_below_both():
    found = [
        power.cluster_design(WEDGE, effect=0.1, cell_size=60, icc=0.02, distribution=distribution).power
        for distribution in ("normal", "noncentral-t", "shifted-t")
    ]
    assert [round(value, 3) for value in found] == [0.588, 0.469, 0.432]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell_size": 60}, "exactly one"),
        ({"effect": 0.1, "cell_size": [1, 2]}, "cell_size is one number"),
        ({"effect": 0.1, "cell_size": -3}, "cell_size must be positive"),
        ({"effect": 0.1, "cell_size": 60, "icc": 1.2}, "icc must lie"),
        ({"effect": 0.1, "cell_size": 60, "cac": -0.1}, "cac must lie"),
        ({"effect": 0.0, "cell_size": 60, "power": 0.8, "copies": None}, "no effect"),
        ({"effect": 0.1, "cell_size": math.inf, "icc": 0.1}, "not positive definite"),
    ],
)
def test_questions_without_an_answer_are_refused(arguments, message):
    with pytest.raises(RctError, match=message):
        power.cluster_design(WEDGE, **{"icc": 0.02} | arguments)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ([[0, 1], [0, 1]], "no information"),
        ([[1, 1], [1, 1]], "no information"),
        ([[0, 1], [0]], "as many numbers"),
        ([0, 1], "clusters × periods"),
        ([[0, 2], [0, 0]], "row 1, column 2"),
        ([[None, None]], "no information"),
    ],
)
def test_designs_that_say_nothing_are_refused(design, message):
    with pytest.raises(RctError, match=message):
        power.cluster_variance(design, cell_size=20, icc=0.05)


def test_with_a_cac_below_one_the_floor_of_the_variance_is_told():
    ceiling = power.cluster_design(WEDGE, effect=0.1, cell_size=math.inf, **NESTED).power
    with pytest.raises(RctError, match=f"stays below {math.ceil(1e4 * ceiling) / 1e4:g}"):
        power.cluster_design(WEDGE, effect=0.1, power=0.8, **NESTED)


def test_a_mean_over_exposure_times_is_that_of_generalized_least_squares_with_all_of_them():
    design = [[0, None, 1, 1, 1], [0, 0, None, 1, 1], [0, 0, 0, None, 1], [0, 0, 0, 0, None]] * 2
    doses = np.array(design, dtype=float)
    within, between = 0.05 + 0.95 / 40, 0.05 * 0.8
    start = np.where(doses == 1, np.arange(5), 9).min(axis=1)[:, np.newaxis]
    terms = (np.arange(5) - start + 1)[:, :, np.newaxis] == np.arange(1, 4)
    information = np.zeros((8, 8))
    for dose, term in zip(doses, terms, strict=True):
        X = np.hstack([np.eye(5), term])[~np.isnan(dose)]
        V = np.full((len(X), len(X)), between) + (within - between) * np.eye(len(X))
        information += X.T @ np.linalg.inv(V) @ X
    weights = np.array([0, 0, 0, 0, 0, 1, 1, 0]) / 2
    found = power.cluster_variance(design, cell_size=40, icc=0.05, cac=0.8, average=(1, 2))
    assert found == pytest.approx(weights @ np.linalg.inv(information) @ weights, rel=1e-10)


def test_a_mean_over_exposure_times_costs_power_and_one_period_of_them_does_not():
    plan = {"cell_size": 60, "icc": 0.02}
    constant = power.cluster_variance(WEDGE, **plan)
    assert power.cluster_variance(WEDGE, **plan, average=(1, 5)) > constant
    arms = [[0], [1]] * 5
    assert power.cluster_variance(arms, **plan, average=(1, 1)) == pytest.approx(
        power.cluster_variance(arms, **plan)
    )


@pytest.mark.parametrize("design", [[[0, 1, 0], [0, 0, 1]], [[0, 0.5, 1], [0, 0, 1]]])
def test_exposure_times_need_a_treatment_that_stays(design):
    with pytest.raises(RctError, match="do not return to 0"):
        power.cluster_variance(design, cell_size=60, icc=0.02, average=(1, 1))


def test_a_t_test_of_two_clusters_is_refused():
    with pytest.raises(RctError, match="three clusters or more"):
        power.cluster_design([[0], [1]], effect=1, cell_size=20, icc=0.05, distribution="noncentral-t")
