"""Estimate and Estimates: scales, frames, and reading back what was written."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rct import DataError, Estimate, Estimates
from rct.estimates import COLUMNS, p_text

LOG = Estimate(
    outcome="force",
    term="ICAT",
    method="Poisson",
    inference="CR2",
    estimand="ITT incidence rate ratio",
    scale="log",
    estimate=math.log(0.75),
    std_error=0.1,
    conf_low=math.log(0.6),
    conf_high=math.log(0.9),
    p_value=0.0004,
    n_units=600,
)
DIFFERENCE = replace(LOG, outcome="sustained", scale="difference", estimate=-0.009, baseline=0.05)


def test_percent_change_follows_the_scale():
    assert LOG.irr == pytest.approx(0.75)
    assert LOG.percent_change == pytest.approx(-25)
    assert LOG.percent_interval == pytest.approx((-40, -10))
    assert math.isnan(DIFFERENCE.irr)
    assert DIFFERENCE.percent_change == pytest.approx(-18)


def test_the_frame_has_one_row_per_effect_and_every_column():
    frame = Estimates((LOG, DIFFERENCE)).frame
    assert list(frame.columns) == list(COLUMNS)
    assert frame["outcome"].tolist() == ["force", "sustained"]


def test_outcomes_select():
    both = Estimates((LOG, DIFFERENCE))
    assert list(both["sustained"]) == [DIFFERENCE]
    assert len(both) == 2
    with pytest.raises(KeyError, match="there are estimates of force, sustained"):
        both["injury"]


def test_what_is_written_is_read_back_equal(tmp_path):
    rows = (
        replace(LOG, null_draws=np.array([0.5, -1.25]), draws_hash="ab", notes={"path": "collapsed"}),
        DIFFERENCE,
    )
    written = Estimates(rows, meta={"trial_hash": "x"})
    written.write(tmp_path / "estimates")
    assert Estimates.read(tmp_path / "estimates") == written
    assert Estimates.read(tmp_path / "estimates") != Estimates((LOG, DIFFERENCE))


def test_estimates_replace_estimates_but_never_other_files(tmp_path):
    Estimates((LOG,)).write(tmp_path / "estimates")
    Estimates((DIFFERENCE,)).write(tmp_path / "estimates")
    assert list(Estimates.read(tmp_path / "estimates")) == [DIFFERENCE]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds other files"):
        Estimates((LOG,)).write(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize("content", ["[]", "{", '{"rows": 3}', '{"rows": [{"estimate": 1}]}', "null"])
def test_estimates_that_were_broken_are_one_error(tmp_path, content):
    Estimates((LOG,)).write(tmp_path / "estimates")
    (tmp_path / "estimates" / "estimates.json").write_text(content)
    with pytest.raises(
        DataError, match="no estimates that can be read any more: .*; run `rct estimate` again"
    ):
        Estimates.read(tmp_path / "estimates")
    Estimates((LOG,)).write(tmp_path / "estimates")
    (tmp_path / "estimates" / "null_draws.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"estimates.json or null_draws.npz was cut or edited"):
        Estimates.read(tmp_path / "estimates")


def test_p_values_are_never_printed_as_zero():
    assert [p_text(p) for p in (0.0312, 0.0004, 1.0)] == ["= .031", "< .001", "= 1.000"]
    assert "p < .001" in LOG.summary()
