"""Exact probabilities of the sequential rules; the reference values name their tool and version."""

import itertools
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from rct.randomization import (
    BiasedCoin,
    BigStick,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    Urn,
    arms_and_ratio,
)
from rct.randomization.ledger_entries import drawn_arm
from rct.randomization.sequential_draws import sequential_draws
from rct.randomization.sequential_rules import minimisation_scores, next_arm, preferred

FILE = Path(__file__).parent / "sequential_references.json"
ITEMS = {item["id"]: item for item in json.loads(FILE.read_text(encoding="utf-8"))["items"]}
SEEDS = 20_000


def design_of(inputs):
    arms = tuple(inputs.get("arms", ("A", "B")))
    if inputs["method"].startswith("permuted"):
        block = inputs.get("block", "AB")
        sizes = inputs.get("sizes", [len(block)])
        return SequentialDesign(
            arms=arms, ratio=[block.count(a) for a in arms], rule=PermutedBlocks(sizes=sizes)
        )
    if inputs["method"] == "Efron biased coin":
        return SequentialDesign(arms=arms, rule=BiasedCoin(p=inputs["p"]))
    if inputs["method"] == "Wei urn":
        return SequentialDesign(arms=arms, rule=Urn(alpha=inputs["alpha"], beta=inputs["beta"]))
    if inputs["method"] == "big stick":
        return SequentialDesign(arms=arms, rule=BigStick(lead=inputs["b"]))
    levels = inputs.get("new_factor_levels") or inputs["factor_levels_in_order_of_arrival"][0]
    rule = Minimisation(
        factors=[f"factor {i}" for i in range(len(levels))],
        weights=() if inputs["weights"] == "equal" else inputs["weights"],
        imbalance=inputs["imbalance"],
        p=inputs["p"],
    )
    return SequentialDesign(arms=arms, ratio=inputs["ratio"], rule=rule)


def at(levels):
    return tuple(map(str, levels))


def probabilities(design, history, levels=(), sizes=None):
    given = sizes or (design.rule.sizes[0],) * 9 if isinstance(design.rule, PermutedBlocks) else ()
    return next_arm(design, history, levels, block_size=lambda block: given[block])


def sequences(design, n, arrivals=None):
    """Give every sequence of arms with its probability."""
    found = {(): Fraction(1)}
    for person in range(n):
        levels = [at(arrivals[i]) if arrivals else () for i in range(person + 1)]
        step = {}
        for arms, probability in found.items():
            history = list(zip(arms, levels, strict=False))
            for arm, share in enumerate(probabilities(design, history, levels[person])):
                if share:
                    step[*arms, arm] = probability * share
        found = step
    return found


def exactly(item):
    return json.loads(json.dumps(item.get("exact", item["value"])), parse_int=Fraction)


def as_fractions(values):
    return [as_fractions(v) if isinstance(v, list) else Fraction(v) for v in values]


def of(kind):
    return [
        identity
        for identity, item in ITEMS.items()
        if identity.endswith(f"/{kind}") and item["inputs"]["method"] != "minimisation from marginal counts"
    ]


@pytest.mark.parametrize("name", [n for n in of("next") if "random-blocks" not in n])
def test_the_next_arm_has_the_published_probabilities(name):
    item = ITEMS[name]
    inputs, design = item["inputs"], design_of(item["inputs"])
    if "histories" in inputs:
        found = [
            list(probabilities(design, [(design.arms.index(arm), ()) for arm in history]))
            for history in inputs["histories"]
        ]
    else:
        earlier = zip(inputs["earlier_arms"], inputs["earlier_factor_levels"], strict=True)
        history = [(design.arms.index(arm), at(levels)) for arm, levels in earlier]
        found = list(probabilities(design, history, at(inputs["new_factor_levels"])))
    assert found == as_fractions(exactly(item))


@pytest.mark.parametrize("name", of("scores"))
def test_minimisation_scores_each_arm_as_minirand_does(name):
    item = ITEMS[name]
    inputs, design = item["inputs"], design_of(item["inputs"])
    earlier = zip(inputs["earlier_arms"], inputs["earlier_factor_levels"], strict=True)
    history = [(design.arms.index(arm), at(levels)) for arm, levels in earlier]
    scores = minimisation_scores(design, design.rule, history, at(inputs["new_factor_levels"]))
    assert [float(score) for score in scores] == pytest.approx(item["value"], rel=1e-12)


@pytest.mark.parametrize("name", of("imbalance"))
def test_the_imbalance_has_the_exact_distribution(name):
    item = ITEMS[name]
    arrivals = item["inputs"].get("factor_levels_in_order_of_arrival")
    n = item["inputs"].get("n") or len(arrivals)
    found = Counter()
    for arms, probability in sequences(design_of(item["inputs"]), n, arrivals).items():
        found[arms.count(0) - arms.count(1)] += probability
    assert sorted(found.items()) == [tuple(row) for row in as_fractions(exactly(item))]


@pytest.mark.parametrize("name", of("joint"))
def test_two_arrivals_share_an_arm_with_the_exact_probability(name):
    item = ITEMS[name]
    arrivals = item["inputs"].get("factor_levels_in_order_of_arrival")
    n = item["inputs"].get("n") or len(arrivals)
    found = [[Fraction(0)] * n for _ in range(n)]
    for arms, probability in sequences(design_of(item["inputs"]), n, arrivals).items():
        for i, j in itertools.product(range(n), repeat=2):
            found[i][j] += probability * (arms[i] == arms[j])
    assert found == as_fractions(exactly(item))


@pytest.mark.parametrize("name", of("support"))
def test_the_number_of_sequences_and_their_probabilities_are_exact(name):
    item = ITEMS[name]
    found = sequences(design_of(item["inputs"]), item["inputs"]["n"]).values()
    assert [len(found), min(found), max(found)] == as_fractions(exactly(item))


def test_blocks_of_drawn_sizes_hide_where_a_block_ends():
    nexts = ITEMS["sequential/random-blocks-2-4/next"]
    design = design_of(nexts["inputs"])
    drawn = list(itertools.product(design.rule.sizes, repeat=5))

    def likelihood(history):
        """Average over the sizes that nobody sees."""
        total = Fraction(0)
        for sizes in drawn:
            one = Fraction(1)
            for i, arm in enumerate(history):
                before = [(design.arms.index(a), ()) for a in history[:i]]
                one *= probabilities(design, before, sizes=sizes)[design.arms.index(arm)]
            total += one / len(drawn)
        return total

    histories = nexts["inputs"]["histories"]
    known = ITEMS["sequential/random-blocks-2-4/history-probabilities"]
    assert [likelihood(history) for history in histories] == as_fractions(known["exact"])
    found = [[likelihood(h + arm) / likelihood(h) for arm in "AB"] for h in histories]
    assert found == as_fractions(nexts["exact"])


def test_the_textbook_example_prefers_by_its_criterion():
    counts = ITEMS["sequential/minimise-textbook/range-scores"]["inputs"]["counts_at_new_person_levels"]
    history = []
    for factor, (first, second) in enumerate(counts):
        elsewhere = ["no"] * 4
        elsewhere[factor] = "yes"
        history += [(0, tuple(elsewhere))] * first + [(1, tuple(elsewhere))] * second
    for imbalance, prefers in (("range", Fraction(1, 2)), ("variance", Fraction(4, 5))):
        rule = Minimisation(factors=["performance", "age", "interval", "lesion"], imbalance=imbalance)
        design = SequentialDesign(arms=("A", "B"), rule=rule)
        scores = minimisation_scores(design, rule, history, ("yes",) * 4)
        published = ITEMS[f"sequential/minimise-textbook/{imbalance}-scores"]
        assert scores == as_fractions(published.get("exact", published["value"]))
        assert preferred(scores, rule.p)[0] == prefers
    assert as_fractions(ITEMS["sequential/minimise-textbook/next"]["exact"])[1:] == [
        Fraction(1, 2),
        Fraction(4, 5),
    ]


RULES = [
    PermutedBlocks(sizes=(2, 4)),
    BiasedCoin(p="3/4"),
    Urn(),
    BigStick(lead=1),
    Minimisation(factors=("rank",)),
]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)


@every_rule
def test_over_keyed_seeds_the_first_arrivals_get_their_exact_joint_probabilities(rule):
    design = SequentialDesign(arms=("A", "B"), rule=rule)
    ranks = ["senior", "junior", "senior"] if isinstance(rule, Minimisation) else []
    counts = Counter()
    for seed in range(SEEDS):
        earlier = []
        for number in (1, 2, 3):
            levels = {"rank": ranks[number - 1]} if ranks else {}
            arm = drawn_arm(
                design, "h", str(seed), earlier=earlier, levels=tuple(levels.values()), number=number
            )
            earlier.append({"arm": arm, "levels": levels})
        counts["".join(content["arm"] for content in earlier)] += 1
    chi_square = sum(
        (counts[arms] - SEEDS * share) ** 2 / (SEEDS * share)
        for arms, share in expected(design, ranks).items()
    )
    assert set(counts) == set(expected(design, ranks))
    assert chi_square < 24.3  # the .999 quantile of chi-square with 7 degrees of freedom, at most 8 sequences


@every_rule
def test_draws_of_a_rule_have_its_exact_joint_probabilities(rule):
    design = SequentialDesign(arms=("A", "B"), rule=rule)
    ranks = ["senior", "junior", "senior"] if isinstance(rule, Minimisation) else []
    draws = sequential_draws(design, [(rank,) for rank in ranks] or [()] * 3, n=SEEDS, seed=3)
    counts = Counter("".join("AB"[arm] for arm in row) for row in draws.tolist())
    law = expected(design, ranks)
    assert set(counts) == set(law)
    assert sum((counts[arms] - SEEDS * p) ** 2 / (SEEDS * p) for arms, p in law.items()) < 24.3


@pytest.mark.parametrize("name", [name for name in of("joint") if "random-blocks" not in name])
def test_draws_put_two_arrivals_in_one_arm_with_the_exact_probability(name):
    item = ITEMS[name]
    arrivals = item["inputs"].get("factor_levels_in_order_of_arrival")
    n = item["inputs"].get("n") or len(arrivals)
    levels = [at(each) for each in arrivals] if arrivals else [()] * n
    draws = sequential_draws(design_of(item["inputs"]), levels, n=SEEDS, seed=5)
    found = [[(draws[:, i] == draws[:, j]).mean() for j in range(n)] for i in range(n)]
    # Four standard errors of a share of 20,000, at most .0035 each.
    np.testing.assert_allclose(found, np.array(item["value"], dtype=float), atol=0.0142)


def test_strata_run_apart_in_draws_too():
    design = SequentialDesign(arms=("A", "B"), strata=("district",), rule=PermutedBlocks(sizes=(2,)))
    draws = sequential_draws(design, [("N",), ("S",), ("N",), ("S",)], n=500, seed=1)
    assert (draws[:, 0] + draws[:, 2] == 1).all()
    assert (draws[:, 1] + draws[:, 3] == 1).all()
    assert 0.4 < (draws[:, 0] == draws[:, 1]).mean() < 0.6


def test_efrons_coin_is_balanced_half_of_the_time_in_the_long_run():
    published = ITEMS["sequential/efron-2/3/limit"]
    design = SequentialDesign(arms=("A", "B"), rule=BiasedCoin(p=published["inputs"]["p"]))
    first = {d: float(probabilities(design, [(int(d < 0), ())] * abs(d))[0]) for d in range(-80, 81)}
    law = {0: 1.0}
    for _ in range(80):
        step = Counter()
        for lead, probability in law.items():
            step[lead + 1] += probability * first[lead]
            step[lead - 1] += probability * (1 - first[lead])
        law = step
    assert law[0] == pytest.approx(published["value"], abs=1e-4)


def test_between_two_equal_arms_the_variance_prefers_the_smaller_sum_of_counts():
    published = ITEMS["sequential/minimise-textbook/taves-sums"]
    counts = published["inputs"]["counts_at_new_person_levels"]
    sums = [sum(column) for column in zip(*counts, strict=True)]
    assert sums == published["value"]
    history = [
        (arm, tuple("yes" if i == factor else "no" for i in range(4)))
        for factor, by_arm in enumerate(counts)
        for arm, number in enumerate(by_arm)
        for _ in range(number)
    ]
    rule = Minimisation(factors=["performance", "age", "interval", "lesion"], imbalance="variance")
    design = SequentialDesign(arms=("A", "B"), rule=rule)
    first, second = minimisation_scores(design, rule, history, ("yes",) * 4)
    assert first - second == 2 * (sums[0] - sums[1])


def expected(design, ranks):
    if isinstance(design.rule, PermutedBlocks):
        known = {"AAB": "1/12", "ABA": "5/24", "ABB": "5/24"}
        mirrored = {arms.translate(str.maketrans("AB", "BA")): share for arms, share in known.items()}
        return {arms: Fraction(share) for arms, share in {**known, **mirrored}.items()}
    arrivals = [(rank,) for rank in ranks] or None
    return {
        "".join("AB"[arm] for arm in arms): share for arms, share in sequences(design, 3, arrivals).items()
    }


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"arms": ["A", "B", "C"], "rule": BiasedCoin()}, "two arms in equal shares"),
        ({"arms": ["A", "B"], "ratio": [2, 1], "rule": Urn()}, "two arms in equal shares"),
        ({"arms": ["A", "A"], "rule": Urn()}, "arms appear more than once"),
        ({"arms": ["A", "B"], "rule": PermutedBlocks(sizes=(3,))}, "cannot hold the ratio 1:1"),
        ({"arms": ["A", "B"], "ratio": [1], "rule": PermutedBlocks(sizes=(2,))}, "1 numbers for 2 arms"),
        ({"arms": ["A", "B"], "rule": BiasedCoin(p="1/3")}, "favours the arm that leads"),
        ({"arms": ["A", "B"], "rule": Minimisation(factors=["x"], p="1/2")}, "does not favour"),
        (
            {"arms": ["A", "B"], "rule": Minimisation(factors=["x"], weights=[1, 2])},
            "2 numbers for 1 factors",
        ),
        ({"arms": ["A", "B"], "strata": ["s"], "rule": Minimisation(factors=["x"])}, "name no strata"),
    ],
)
def test_a_design_that_contradicts_itself_is_refused(odd, message):
    with pytest.raises(ValidationError, match=message):
        SequentialDesign(**odd)


def test_late_joiners_have_the_arms_of_their_trial_in_its_ratio(declared):
    shares = 'probabilities = {ICAT = "1/2", coaching = 0.25}'
    trial = declared(treatments='["ICAT", "coaching"]', probabilities=shares)
    assert arms_and_ratio(trial.arms) == {"arms": ("usual", "ICAT", "coaching"), "ratio": (1, 2, 1)}
    assert arms_and_ratio(declared().arms)["ratio"] == ()
