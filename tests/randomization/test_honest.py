"""No false alarm: whatever was randomized or enrolled honestly is verified."""

import json
import tempfile
import unicodedata
from functools import cache
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from rct.invisible_characters import invisible_in
from rct.randomization import (
    BiasedCoin,
    BigStick,
    Ledger,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    Urn,
    commit,
    randomize,
    verify,
    verify_ledger,
)
from rct.trial import Trial

TEXT = """
format = 1
name = "honest"
units = {{ randomize = "officer_id", measure = "officer", id = "officer_id", block = {block} }}
arms = {{ control = "usual", treatments = {treatments} }}
schedule = {{ {schedule} }}
{scheme}
[[outcomes]]
name = "force"
primary = true
[analysis]
primary = "poisson"
"""
PARALLEL = 'kind = "parallel", periods = 4'
CROSSOVER = 'kind = "crossover", periods = 4, sequences = [["usual", "ICAT"], ["ICAT", "usual"]]'
WEDGE = 'kind = "stepped-wedge", periods = 12, baseline = 2, per_step = 1'
DESIGNS = [
    {"schedule": PARALLEL},
    {"schedule": PARALLEL, "block": '["district"]'},
    {"schedule": PARALLEL, "treatments": '["ICAT", "ICAT + refresher"]', "block": '["district", "rank"]'},
    {"schedule": PARALLEL, "scheme": '[randomization]\nscheme = "simple"'},
    {"schedule": CROSSOVER},
    {"schedule": WEDGE},
]
MEMORY = Path("/dev/shm")  # a ledger flushes each entry to the disk, which takes longest
LETTERS = st.characters(blacklist_categories=("C", "Z"))
NAMES = st.text(LETTERS, min_size=1, max_size=5).filter(lambda name: not invisible_in(name))
BLOCKS = st.sampled_from(["1", "01", "Süd", "NA"])


@cache
def trial_of(number):
    plain = {"block": "[]", "treatments": '["ICAT"]', "scheme": ""}
    return Trial.parse(TEXT.format(**{**plain, **DESIGNS[number]}))


@st.composite
def rosters(draw):
    ids = draw(
        st.lists(NAMES, min_size=3, max_size=9, unique_by=lambda text: unicodedata.normalize("NFC", text))
    )
    rows = [(unit, draw(BLOCKS), draw(st.sampled_from(["officer", "sergeant"]))) for unit in ids]
    return pd.DataFrame(rows, columns=["officer_id", "district", "rank"])


@given(
    number=st.integers(0, len(DESIGNS) - 1),
    roster=rosters(),
    seed=st.one_of(st.integers(), st.binary(min_size=1, max_size=9), st.text(min_size=1).filter(str.strip)),
    value=st.one_of(st.none(), NAMES),
    order=st.integers(0, 99),
)
@settings(max_examples=1000, deadline=None)
def test_a_thousand_honest_randomizations_are_verified_without_an_alarm(number, roster, seed, value, order):
    trial, commitment = trial_of(number), None
    if value is None:
        allocation = randomize(trial, roster, seed=seed)
    else:
        commitment = commit(trial, roster, source="a lottery", round="tomorrow").record
        allocation = randomize(trial, roster, commitment=commitment, value=value)
    certificate = json.loads(json.dumps(allocation.certificate))
    verdict = verify(
        certificate, roster.sample(frac=1, random_state=order), commitment=commitment, value=value
    )
    assert (verdict.ok, verdict.problems) == (True, ())


RULES = st.one_of(
    st.builds(PermutedBlocks, sizes=st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3)),
    st.builds(BiasedCoin, p=st.sampled_from(["1/2", "2/3", "1"])),
    st.builds(Urn, alpha=st.integers(0, 2), beta=st.integers(0, 2)),
    st.builds(BigStick, lead=st.integers(1, 3)),
    st.builds(
        Minimisation, factors=st.just(("district", "rank")), imbalance=st.sampled_from(["range", "sd"])
    ),
)


@given(rule=RULES, stratified=st.booleans(), roster=rosters(), closed=st.booleans(), kept=st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_every_honest_ledger_is_verified_against_any_receipt(rule, stratified, roster, closed, kept):
    strata = ("district", "rank") if stratified and not isinstance(rule, Minimisation) else ()
    design = SequentialDesign(arms=("usual", "ICAT"), strata=strata, rule=rule)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        ledger = Ledger.create(Path(folder, "ledger"), design, key=Path(folder, "key"))
        receipts = [ledger.head]
        for unit, district, rank in roster.itertuples(index=False):
            known = {"district": district, "rank": rank} if design.characteristics else {}
            receipts.append(ledger.enrol(unit, known))
        if closed:
            receipts.append(ledger.close())
        found = verify_ledger(ledger.path, [receipts[min(kept, len(roster))]])
    assert (found.ok, found.problems, found.enrolled) == (True, (), len(roster))
