import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from rct.errors import AllocationError, DataError, TrialError
from rct.randomization import (
    Allocation,
    acceptance_threshold,
    commit,
    randomize,
    remaining_variance,
    verify,
)
from rct.randomization.candidates import keyed_candidates
from rct.randomization.covariates import whole_covariates
from rct.randomization.plan import Plan
from rct.randomization.random_draws import all_draws, block_columns
from rct.randomization.restricted_order import restrict, taken
from rct.randomization.restriction_scores import compared_groups, imbalance_scores, mahalanobis_scores
from rct.randomization.rosters import checked_roster
from rct.schedule import crossed, treated_from, untreated
from rct.trial_hash import sha256

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "restricted_vectors.json").read_text(encoding="utf-8"))["cases"]
REFERENCES = {
    item["id"]: item
    for item in json.loads((HERE / "restriction_references.json").read_text(encoding="utf-8"))["items"]
}
CONSTRAINED = ["8x2-l2", "10x3-l1", "10x3-l2-4treated-weights", "8x3-categorical-l2"]
RERANDOMIZED = ["8x2-p0.2", "10x3-p0.1"]
WEDGE = 'kind = "stepped-wedge"\nperiods = 8\nbaseline = 1'
PARALLEL = 'kind = "parallel"\nperiods = 6'
PAIR = (untreated("usual", 6), treated_from("ICAT", 1, dose=1, periods=6, transition=0))
THREE = (
    PAIR[0],
    *(treated_from(arm, 1, dose=1, periods=6, transition=0) for arm in ("A", "B")),
)
SIDE_BY_SIDE = [[1], [2], [0]]


def rule_text(columns, scheme, **keys):
    return "\n".join(
        ["", "[randomization]", f'scheme = "{scheme}"', f"covariates = {json.dumps(columns)}"]
        + [f"{key} = {value}" for key, value in keys.items()]
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_allocation_is_the_one_that_another_program_derives_from_the_page(declared, case):
    keys = {"decimals": case["decimals"]}
    keys |= {"candidates": case["candidates"]} if "candidates" in case else {}
    if case["scheme"] == "constrained":
        weights = f"{{ officers = {case['weights'][0]}, rate = {case['weights'][1]} }}"
        keys |= {"metric": json.dumps(case["metric"]), "keep": json.dumps(case["keep"]), "weights": weights}
    else:
        keys |= {"threshold": case["threshold"]}
    trial = declared(
        PARALLEL + rule_text(["officers", "rate"], case["scheme"], **keys),
        treatments='["A", "B"]' if case["groups"] == SIDE_BY_SIDE else '["ICAT"]',
        block='["side"]' if case["units"][0]["block"] else "[]",
    )
    rows = [(unit["id"], unit["block"], *unit["values"]) for unit in case["units"]]
    roster = pd.DataFrame(rows, columns=["officer_id", "side", "officers", "rate"], dtype="str")
    checked = checked_roster(roster.iloc[::-1], trial.units, covariates=trial.further_columns)
    sequences = THREE if case["groups"] == SIDE_BY_SIDE else PAIR
    if case["scheme"] == "constrained" and len(case["groups"]) > 1:
        sequences = [treated_from("ICAT", k, dose=1, periods=6, transition=0) for k in range(2, 7)]
    shares = {(block,) if block else (): tuple(map(Fraction, p)) for block, p in case["shares"].items()}
    plan = Plan(tuple(sequences), shares)
    found = restrict(case["seed"], trial, sha256(case["design"]), roster=checked, plan=plan)
    expected = dict(case["found"])
    assert dict(zip(checked.blocks, found.assigned.tolist(), strict=True)) == expected.pop("sequence")
    assert {key: found.record[key] for key in expected} == expected


def inputs_of(item):
    return REFERENCES[item]["inputs"]


def roster_of(inputs):
    table = zip(*inputs["covariates"], strict=True)
    columns = {name: [str(v) for v in values] for name, values in zip(inputs["columns"], table, strict=True)}
    return pd.DataFrame({"officer_id": [f"u{i:02d}" for i in range(len(inputs["covariates"]))], **columns})


def constrained(declared, inputs, *, decimals=12, **keys):
    """Declare a trial with the inputs of a reference; many decimals, to meet its tolerance."""
    columns = inputs["columns"]
    if "metric" in inputs:
        keys |= {"metric": json.dumps(inputs["metric"]), "keep": inputs["cutoff"]}
    if "weights" in inputs:
        pairs = zip(columns, inputs["weights"], strict=True)
        keys["weights"] = "{ " + ", ".join(f"{name} = {weight}" for name, weight in pairs) + " }"
    if "categorical_column" in inputs:
        keys["categorical"] = json.dumps([columns[inputs["categorical_column"]]])
    treated = inputs.get("treated_clusters", inputs.get("treated"))
    return declared(
        PARALLEL
        + rule_text(columns, "constrained" if "keep" in keys else "rerandomized", decimals=decimals, **keys),
        probabilities=f'[arms.probabilities]\nICAT = "{treated}/{len(inputs["covariates"])}"',
    )


def scoring_parts(trial, inputs, rows):
    checked = checked_roster(roster_of(inputs), trial.units, covariates=trial.further_columns)
    n, treated = len(inputs["covariates"]), inputs.get("treated_clusters", inputs.get("treated"))
    blocks = block_columns(checked.blocks, {(): (1 - Fraction(treated, n), Fraction(treated, n))})
    if rows is None:
        return all_draws(blocks), blocks, whole_covariates(checked, trial)
    draws = np.zeros((len(rows), n), dtype=np.int16)
    for draw, chosen in zip(draws, rows, strict=True):
        draw[chosen] = 1
    return draws, blocks, whole_covariates(checked, trial)


def l_scores(trial, inputs, rows):
    draws, blocks, covariates = scoring_parts(trial, inputs, rows)
    groups = compared_groups(PAIR, ("usual", "ICAT"))
    scoring = imbalance_scores(draws, blocks, groups, covariates, squared=inputs["metric"] == "l2")
    return [float(scoring.exact(score)) for score in scoring.scores]


def distances(trial, inputs, rows):
    draws, blocks, covariates = scoring_parts(trial, inputs, rows)
    scoring = mahalanobis_scores(draws, blocks, [frozenset({1})], covariates)
    return [float(scoring.exact(score)) for score in scoring.scores]


@pytest.mark.parametrize("case", CONSTRAINED)
def test_scores_are_those_of_cvcrand(declared, case):
    reference = REFERENCES[f"constrained/{case}/scores"]
    found = l_scores(
        constrained(declared, reference["inputs"]), reference["inputs"], reference["inputs"]["allocations"]
    )
    assert found == pytest.approx(reference["value"], rel=1e-9, abs=1e-10)


def test_scores_over_all_allocations_have_the_mean_and_range_of_cvcrand(declared):
    reference = REFERENCES["constrained/8x2-l2/distribution"]
    scores = l_scores(constrained(declared, reference["inputs"]), reference["inputs"], None)
    found = [len(scores), min(scores), np.mean(scores), max(scores)]
    assert found == pytest.approx(reference["value"], rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("decimals", [4, 12])
@pytest.mark.parametrize("case", CONSTRAINED)
def test_the_constrained_space_is_that_of_cvcrand_with_ties_at_the_cut_all_kept(declared, case, decimals):
    reference = REFERENCES[f"constrained/{case}/cutoff-score"]
    trial = constrained(declared, reference["inputs"], decimals=decimals)
    allocation = randomize(trial, roster_of(reference["inputs"]), seed=1)
    limit = Fraction(allocation.certificate["restriction"]["limit"])
    assert float(limit) == pytest.approx(reference["value"], rel=1e-9 if decimals == 12 else 1e-3)
    draws = allocation.draws("exact")
    if f"constrained/{case}/number" in REFERENCES:
        assert allocation.space == len(draws) == REFERENCES[f"constrained/{case}/number"]["value"][1]
    if f"constrained/{case}/cluster-probabilities" in REFERENCES:
        expected = REFERENCES[f"constrained/{case}/cluster-probabilities"]["value"]
        np.testing.assert_allclose(allocation.probabilities[1], expected, atol=1e-12)
    if f"constrained/{case}/both-treated" in REFERENCES:
        expected = REFERENCES[f"constrained/{case}/both-treated"]["value"]
        np.testing.assert_allclose(draws.T.astype(float) @ draws / len(draws), expected, atol=1e-12)


@pytest.mark.parametrize("case", RERANDOMIZED)
def test_mahalanobis_distances_and_the_accepted_are_those_of_r(declared, case):
    reference = REFERENCES[f"rerandomized/{case}/M"]
    inputs = reference["inputs"]
    threshold = REFERENCES[f"rerandomized/{case}/threshold"]["value"]
    trial = constrained(declared, inputs, threshold=threshold)
    assert distances(trial, inputs, inputs["allocations"]) == pytest.approx(reference["value"], rel=1e-8)
    draws = randomize(trial, roster_of(inputs), seed=1).draws("exact")
    everything, accepted, _ = REFERENCES[f"rerandomized/{case}/accepted"]["value"]
    assert (len(distances(trial, inputs, None)), len(draws)) == (everything, accepted)
    both = REFERENCES[f"rerandomized/{case}/both-treated"]["value"]
    np.testing.assert_allclose(draws.T.astype(float) @ draws / len(draws), both, atol=1e-12)


def test_rerandomization_leaves_the_exact_share_of_the_variance_of_differences(declared):
    reference = REFERENCES["rerandomized/8x2-p0.2/exact-variance-ratio"]
    inputs = reference["inputs"]
    trial = constrained(declared, inputs, threshold=REFERENCES["rerandomized/8x2-p0.2/threshold"]["value"])
    values = np.array(inputs["covariates"]) - np.mean(inputs["covariates"], axis=0)
    kept, every = (
        ((draws @ values) ** 2).mean(axis=0)
        for draws in (
            randomize(trial, roster_of(inputs), seed=1).draws("exact"),
            scoring_parts(trial, inputs, None)[0],
        )
    )
    np.testing.assert_allclose(kept / every, reference["value"], rtol=1e-8)
    assert np.mean(distances(trial, inputs, None)) == pytest.approx(
        REFERENCES["rerandomized/8x2-p0.2/mean-M"]["value"], abs=1e-9
    )


@pytest.mark.parametrize("case", RERANDOMIZED)
def test_thresholds_and_the_variance_they_leave_are_those_of_morgan_and_rubin(case):
    reference = REFERENCES[f"rerandomized/{case}/threshold"]
    k, share = reference["inputs"]["k"], reference["inputs"]["acceptance_probability"]
    assert acceptance_threshold(k, share) == pytest.approx(reference["value"], rel=1e-9)
    left = REFERENCES[f"rerandomized/{case}/variance-factor"]["value"]
    assert remaining_variance(k, reference["value"]) == pytest.approx(left, rel=1e-9)


def test_units_are_as_often_treated_after_rerandomization_as_before(declared):
    reference = REFERENCES["rerandomized/8x2-p0.2/unit-probabilities"]
    trial = constrained(declared, reference["inputs"], threshold=0.4463)
    found = randomize(trial, roster_of(reference["inputs"]), seed=1).probabilities[1]
    np.testing.assert_allclose(found, reference["value"], atol=1e-12)


def test_a_restricted_trial_can_be_committed_to_before_the_draw(declared, eight):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], "constrained", keep=0.2))
    promised = commit(trial, eight, source="state lottery", round="2026-12-24")
    allocation = randomize(trial, eight, commitment=promised, value="07 19 22")
    assert allocation.certificate["mechanism"] == "constrained"
    assert verify(allocation.certificate, eight, commitment=promised, value="07 19 22").ok


@pytest.fixture
def eight():
    return roster_of(inputs_of("constrained/8x2-l2/scores"))


def test_without_the_restriction_mahalanobis_allows_for_blocks_and_left_over_places(declared, eight):
    trial = declared(PARALLEL + rule_text(["officers"], "rerandomized", threshold=1))
    checked = checked_roster(eight.head(7), trial.units, covariates=("officers",))
    blocks = [
        (np.array([0, 2, 4]), (Fraction(1, 2), Fraction(1, 2))),
        (np.array([1, 3, 5, 6]), (Fraction(3, 4), Fraction(1, 4))),
    ]
    draws, covariates = all_draws(blocks), whole_covariates(checked, trial)
    scoring = mahalanobis_scores(draws, blocks, [frozenset({1})], covariates)
    # T'V⁻¹T has the number of covariates as its mean exactly when V is the covariance of T.
    assert sum(scoring.exact(score) for score in scoring.scores) / len(draws) == 1


def test_accepted_rows_do_not_hang_on_the_order_of_the_roster_or_further_columns(declared, eight):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], "constrained", keep=0.2))
    one = randomize(trial, eight, seed=3)
    other = randomize(trial, eight.iloc[::-1].assign(age="x"), seed=3)
    assert one.certificate == other.certificate
    np.testing.assert_array_equal(one.draws("exact"), other.draws("exact"))
    assert verify(one.certificate, eight.iloc[[3, 1, 0, 2, 7, 6, 5, 4]]).ok


def test_the_folder_is_read_back_and_a_changed_covariate_is_named(declared, eight, tmp_path):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], "constrained", keep=0.2))
    allocation = randomize(trial, eight, seed=3)
    allocation.write(tmp_path / "a")
    again = Allocation.read(tmp_path / "a")
    assert again == allocation
    np.testing.assert_array_equal(again.accepted, allocation.accepted)
    assert verify(tmp_path / "a", eight).ok
    changed = eight.assign(officers=["99", *eight["officers"][1:]])
    assert verify(tmp_path / "a", changed).problems == (
        "officers was changed in the roster for u00: 24 → 99",
    )


@pytest.mark.parametrize(
    ("key", "value"), [("accepted", 9), ("limit", "1/2"), ("score", "0"), ("chosen", 3), ("weights", [1, 2])]
)
def test_an_edited_record_of_the_restriction_is_found(declared, eight, key, value):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], "constrained", keep=0.2))
    certificate = randomize(trial, eight, seed=3).certificate
    record = {**certificate["restriction"], key: value}
    (problem,) = verify({**certificate, "restriction": record}, eight).problems
    assert problem == "the certificate's covariates, scores or candidates were edited"


def test_nine_divisions_are_scored_over_all_orders(declared):
    inputs = inputs_of("constrained/10x3-l1/scores")
    trial = declared(
        'kind = "stepped-wedge"\nperiods = 12\nbaseline = 2'
        + rule_text(["officers", "force_rate"], "constrained", keep=1000)
    )
    allocation = randomize(trial, roster_of(inputs).head(9), seed=1)
    record = allocation.certificate["restriction"]
    assert (record["candidates"], record["whole_space"]) == (362_880, True)
    assert allocation.space == len(allocation.draws("exact")) >= 1000
    assert allocation.smallest_p == 1 / allocation.space
    assert (np.sort(allocation.draws(50, seed=1), axis=1) == np.arange(9)).all()


def test_forty_clusters_are_taken_from_keyed_candidates(declared):
    generator = np.random.default_rng(1)
    roster = pd.DataFrame({"officer_id": [f"{i:02d}" for i in range(40)]})
    roster["size"] = generator.integers(20, 90, 40).astype(str)
    trial = declared(PARALLEL + rule_text(["size"], "constrained", keep=0.05, candidates=2000))
    allocation = randomize(trial, roster, seed=1)
    record = allocation.certificate["restriction"]
    assert (record["candidates"], record["whole_space"]) == (2000, False)
    assert allocation.draws("exact").sum(axis=1).tolist() == [20] * record["accepted"]
    assert verify(allocation.certificate, roster).ok


def test_a_large_space_without_a_number_of_candidates_is_refused(declared):
    roster = pd.DataFrame(
        {"officer_id": [f"{i:02d}" for i in range(40)], "size": [str(i) for i in range(40)]}
    )
    trial = declared(PARALLEL + rule_text(["size"], "constrained", keep=0.05))
    with pytest.raises(AllocationError, match="137,846,528,820 allocations.*candidates = 100000"):
        randomize(trial, roster, seed=1)


def test_keyed_candidates_are_uniform_and_keep_the_shares_of_left_over_places():
    blocks = [
        (np.arange(3), (Fraction(1, 2), Fraction(1, 2))),
        (np.arange(3, 7), (Fraction(2, 3), Fraction(1, 3))),
    ]
    draws = keyed_candidates("a", "b", blocks, number=20_000)
    rows, counts = np.unique(draws, axis=0, return_counts=True)
    expected = np.array([(1 / 6) * (1 / 6 if row[3:].sum() == 1 else 1 / 18) for row in rows]) * 20_000
    assert len(rows) == 6 * 10
    # Chi-square of 59 degrees of freedom: its .999 quantile is 98.3.
    assert ((counts - expected) ** 2 / expected).sum() < 98.3


RESTRICTIONS = [("constrained", {"keep": 0.1}), ("rerandomized", {"threshold": 0.4})]


@pytest.mark.parametrize(("scheme", "keys"), RESTRICTIONS)
def test_every_accepted_allocation_is_taken_equally_often_over_seeds(declared, eight, scheme, keys):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], scheme, **keys))
    checked = checked_roster(eight, trial.units, covariates=trial.further_columns)
    plan = Plan(PAIR, {(): (Fraction(1, 2), Fraction(1, 2))})
    records = [restrict(str(s), trial, "", roster=checked, plan=plan) for s in range(20)]
    numbers = np.flatnonzero(
        (all_draws(block_columns(checked.blocks, plan.shares))[:, None] == records[0].accepted).all(2).any(1)
    ).tolist()
    assert 1 < len(numbers) < 70
    assert [one.record["chosen"] for one in records] == [taken(str(s), "", numbers) for s in range(20)]
    times = Counter(taken(f"lottery {s}", "", numbers) for s in range(20_000))
    each = 20_000 / len(numbers)
    assert set(times) == set(numbers)
    assert chi2.sf(sum((n - each) ** 2 / each for n in times.values()), len(numbers) - 1) > 0.001


@pytest.mark.parametrize(("scheme", "keys"), RESTRICTIONS)
def test_draws_are_the_accepted_with_equal_probability(declared, eight, scheme, keys):
    trial = declared(PARALLEL + rule_text(["officers", "force_rate"], scheme, **keys))
    allocation = randomize(trial, eight, seed=1)
    rows, counts = np.unique(allocation.draws(20_000, seed=1), axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, np.unique(allocation.accepted, axis=0))
    each = 20_000 / len(rows)
    assert 1 < len(rows) < 70
    assert chi2.sf(((counts - each) ** 2 / each).sum(), len(rows) - 1) > 0.001


def test_groups_are_compared_once_each():
    wedge = [treated_from("ICAT", k, dose=1, periods=5, transition=0) for k in (2, 3, 5)]
    assert compared_groups(wedge, ("usual", "ICAT")) == [{0}, {0, 1}]
    three = [
        untreated("usual", 2),
        *(treated_from(arm, 1, dose=1, periods=2, transition=0) for arm in ("A", "B")),
    ]
    assert compared_groups(three, ("usual", "A", "B")) == [{1}, {2}, {0}]
    swapped = [
        crossed(order, doses={"A": 1.0}, control="usual", periods=4, transition=0)
        for order in (("usual", "A"), ("A", "usual"))
    ]
    assert compared_groups(swapped, ("usual", "A")) == [{1}]


def test_a_cluster_has_the_mean_of_its_rows_and_points_are_taken_as_they_are(declared):
    trial = declared(
        PARALLEL + rule_text(["points"], "constrained", metric='"points"', keep=1), randomize="squad"
    )
    roster = pd.DataFrame(
        {"officer_id": ["1", "2", "3"], "squad": ["a", "a", "b"], "points": ["1", "4.00", "2"]}
    )
    with pytest.raises(AllocationError, match="points.*whole numbers"):
        randomize(trial, roster, seed=1)
    record = randomize(trial, roster.assign(points=["1", "5", "2"]), seed=1).certificate["restriction"]
    assert record["values"] == [[3], [2]]


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        (["1", "x", "2"], {"keep": 1}, DataError, '"x" is no plain decimal number'),
        (["1e3", "2", "3"], {"keep": 1}, DataError, '"1e3" is no plain decimal number'),
        (["2", "2", "2.0"], {"keep": 1}, AllocationError, "size is the same in every unit"),
        (["1", "2", "3"], {"keep": 99}, AllocationError, r"99 is more than the \d+ candidates"),
        (["1", "2", "4"], {"threshold": 0.001}, AllocationError, "none of 6 candidates .* Raise"),
    ],
)
def test_what_cannot_be_balanced_is_refused_in_a_sentence(declared, values, options, error, message):
    scheme = "constrained" if "keep" in options else "rerandomized"
    trial = declared(PARALLEL + rule_text(["size"], scheme, **options))
    roster = pd.DataFrame({"officer_id": ["1", "2", "3"], "size": values})
    with pytest.raises(error, match=message):
        randomize(trial, roster, seed=1)


def test_rerandomization_of_a_wedge_or_with_collinear_covariates_is_refused(declared, eight):
    wedge = declared(WEDGE + rule_text(["officers"], "rerandomized", threshold=1))
    with pytest.raises(AllocationError, match="two groups.*3 that overlap in time.*constrained"):
        randomize(wedge, eight.head(4), seed=1)
    double = eight.assign(twice=[str(2 * int(v)) for v in eight["officers"]])
    trial = declared(PARALLEL + rule_text(["officers", "twice"], "rerandomized", threshold=1))
    with pytest.raises(AllocationError, match="twice is explained by the others"):
        randomize(trial, double, seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('scheme = "constrained"\nkeep = 0.1', "needs covariates"),
        ('scheme = "constrained"\ncovariates = ["a"]', "needs keep"),
        ('scheme = "rerandomized"\ncovariates = ["a"]', "needs threshold"),
        ('scheme = "rerandomized"\ncovariates = ["a"]\nthreshold = 0', "not above 0"),
        ('scheme = "constrained"\ncovariates = ["a"]\nkeep = 0', "no number of candidates"),
        ('scheme = "constrained"\ncovariates = ["a"]\nkeep = 0.1\nweights = { b = 2 }', "b is not one of"),
        ('scheme = "rerandomized"\ncovariates = ["a"]\nthreshold = 1\nkeep = 5', "keep belongs to scheme"),
        ('covariates = ["a"]', 'covariates belongs to scheme = "constrained", not "keyed-order"'),
    ],
)
def test_a_trial_file_that_contradicts_itself_about_the_restriction_is_refused(declared, text, message):
    with pytest.raises(TrialError, match=message):
        declared(f"{PARALLEL}\n[randomization]\n{text}")
