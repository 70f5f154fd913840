import math

import pytest

from rct.reporting.number_format import (
    count,
    p_phrase,
    p_value,
    percent,
    percent_with_interval,
    probability,
    signed,
    typeset,
)


def test_changes_have_a_true_minus_sign_and_one_decimal():
    assert percent_with_interval(-17.68, -32.21, -3.16) == "−17.7 % (−32.2 to −3.2)"
    assert percent_with_interval(2.3, -4.25, 9.4) == "+2.3 % (−4.2 to +9.4)"


@pytest.mark.parametrize("nothing", [0.0, -0.0, -0.04, 0.04])
def test_what_rounds_to_zero_has_no_sign(nothing):
    assert percent(nothing) == "0.0 %"


def test_missing_and_unbounded_numbers_are_told_apart():
    assert percent(math.nan) == "–"
    assert percent_with_interval(-5.0, math.nan, math.nan) == "−5.0 %"
    assert signed(math.inf) == "+∞"
    assert signed(-math.inf) == "−∞"


@pytest.mark.parametrize(
    ("p", "printed"), [(0.0313, ".031"), (0.05, ".050"), (0.0009, "< .001"), (1.0, "1.000"), (math.nan, "–")]
)
def test_p_values_have_no_leading_zero_and_are_never_zero(p, printed):
    assert p_value(p) == printed


def test_p_values_in_a_sentence():
    assert p_phrase(0.0313) == "p = .031"
    assert p_phrase(0.00005) == "p < .001"


def test_probabilities_from_finitely_many_draws_are_never_certain():
    assert probability(1.0) == "> .999"
    assert probability(0.0) == "< .001"
    assert probability(0.9712) == ".971"


def test_counts_keep_fractions_only_where_they_are():
    assert count(12345.0) == "12,345"
    assert count(10.5) == "10.5"


def test_typesetting_changes_minus_signs_and_no_hyphens():
    assert typeset("95 % between -62 % and +170 %, half-normal, 2018-11") == (
        "95 % between −62 % and +170 %, half-normal, 2018-11"
    )
