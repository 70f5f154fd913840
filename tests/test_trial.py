import json
import pickle
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

import rct
from rct.errors import TrialError
from rct.trial import Trial
from rct.trial_hash import canonical_json, design_json, plain_decimal, sha256
from rct.trial_tables import (
    Analysis,
    Arms,
    BlockSchedule,
    Course,
    Outcome,
    Power,
    Randomization,
    Records,
    Schedule,
    Units,
)

VECTORS = json.loads(
    (Path(__file__).parent / "randomization" / "allocation_vectors.json").read_text(encoding="utf-8")
)
TEXT = """\
format = 1
name = "small"

[units]
randomize = "squad"
measure = "officer"
id = "officer_id"
block = ["district"]

[arms]
control = "usual"
treatments = ["ICAT", {name = "three days", dose = 3, label = "Three-day course"}]
[arms.probabilities]
ICAT = 0.550
"three days" = "1/4"

[schedule]
kind = "parallel"
start = 2018-11-01
periods = 24
baseline = 12

[[outcomes]]
name = "force"
primary = true

[[outcomes]]
name = "injured"
unit_of_count = "person"
person = "citizen"

[analysis]
primary = { estimator = "poisson", effect = "exposure-time", average = [1, 12] }
secondary = ["poisson", { estimator = "bayesian", model = "marginal", inference = "hc2" }]

[analysis.priors]
effect = { normal = [0, 0.5] }

[power]
effects = { force = 0.72, injured = { ICAT = 0.8, "three days" = 0.7 } }
rates = { force = 0.05 }
"""


def refused(old, new, text=TEXT):
    assert old in text
    with pytest.raises(TrialError) as caught:
        Trial.parse(text.replace(old, new), name="small.toml")
    return str(caught.value)


def test_attributes_are_the_tables_of_the_file():
    trial = Trial.parse(TEXT)
    assert trial.units.block == ("district",)
    assert [t.name for t in trial.arms.treatments] == ["ICAT", "three days"]
    assert trial.arms.doses == {"ICAT": 1.0, "three days": 3.0}
    assert trial.arms.probabilities.by_arm == {"ICAT": Fraction(11, 20), "three days": Fraction(1, 4)}
    assert trial.schedule.start.isoformat() == "2018-11-01"
    assert trial.outcomes[1].person == "citizen"
    assert trial.analysis.primary.options == {"effect": "exposure-time", "average": (1, 12)}
    assert [one.estimator for one in trial.analysis.secondary] == ["poisson", "bayesian"]
    assert trial.analysis.secondary[1].inference == "hc2"
    assert trial.analysis.secondary[1].options == {"model": "marginal"}
    assert trial.analysis.priors == {"effect": {"normal": (0, 0.5)}}
    assert trial.power.effects["injured"] == {"ICAT": 0.8, "three days": 0.7}


def test_the_text_is_kept_and_parses_to_an_equal_trial():
    trial = Trial.parse(TEXT)
    assert trial.to_toml() == TEXT
    assert Trial.parse(trial.to_toml()) == trial
    assert pickle.loads(pickle.dumps(trial)) == trial


def test_a_trial_is_never_changed():
    with pytest.raises(ValueError, match="frozen"):
        Trial.parse(TEXT).name = "other"


@pytest.mark.parametrize(
    ("number", "text"), [("0.550", "0.55"), ("1e-2", "0.01"), ("2.0", "2"), ("-0.0", "0"), ("1e3", "1000")]
)
def test_a_number_is_hashed_as_plain_text_without_trailing_zeros(number, text):
    assert plain_decimal(Decimal(number)) == text


def test_canonical_json_sorts_keys_as_rfc_8785_does_and_writes_dates_and_decimals_as_text():
    document = {
        "\u20ac": 1,
        "\r": 2,
        "1": {"b": Decimal("0.50"), "a": [True, "\u00f6"]},
        "\U0001f600": "x",
        "\ufb33": 0,
    }
    # RFC 8785, section 3.2.3: keys are sorted by their UTF-16 code units.
    assert canonical_json(document) == (
        '{"\\r":2,"1":{"a":[true,"\u00f6"],"b":"0.5"},"\u20ac":1,"\U0001f600":"x","\ufb33":0}'
    )


def test_the_design_of_the_published_wedge_is_that_of_the_vector():
    case = next(case for case in VECTORS["cases"] if "nine divisions" in case["name"])
    trial = rct.load("louisville_icat")
    assert trial.design_json == case["design"]
    assert trial.design_hash == case["design_hash"]


def test_the_design_hash_rests_on_nothing_but_the_four_tables_without_labels():
    trial = Trial.parse(TEXT)
    relabelled = Trial.parse(TEXT.replace("Three-day course", "Long").replace("0.05 }", "0.06 } # doubtful"))
    reformatted = Trial.parse(TEXT.replace("0.550", "0.55").replace("[units]\n", "[units] # who\n"))
    changed = Trial.parse(TEXT.replace("baseline = 12", "baseline = 11"))
    assert relabelled.design_hash == trial.design_hash
    assert relabelled.hash != trial.hash
    assert (reformatted.design_hash, reformatted.hash) == (trial.design_hash, trial.hash)
    assert changed.design_hash != trial.design_hash
    assert set(json.loads(trial.design_json)) == {"units", "arms", "schedule"}


def test_the_hash_is_the_sha_256_of_the_canonical_document():
    trial = Trial.parse(TEXT)
    assert trial.hash == sha256(canonical_json(trial.document))
    assert trial.design_json == design_json(trial.document)


def test_amendments_name_the_tables_that_differ():
    trial = Trial.parse(TEXT)
    other = Trial.parse(TEXT.replace("0.05 }", "0.06 }").replace('"small"', '"big"'))
    assert trial.amendments(other) == ["name", "power"]
    assert trial.amendments(trial) == []


def test_an_unknown_key_is_refused_with_file_line_and_the_nearest_known_key():
    assert refused("baseline = 12", "basline = 12") == (
        'small.toml, line 21: "basline" is not a key of [schedule]; did you mean "baseline"?'
    )
    assert refused("[power]", "[pwer]") == (
        'small.toml, line 39: "pwer" is not a table or key of this file; did you mean "power"?'
    )
    assert 'did you mean "periods"' in refused("periods = 24", "period_count = 24")
    assert refused("dose = 3", "does = 3") == (
        'small.toml, line 12: "does" is not a key of [arms.treatments]; did you mean "dose"?'
    )


def test_a_key_is_found_in_the_right_one_of_several_tables():
    assert refused('person = "citizen"', 'persn = "citizen"').startswith("small.toml, line 30:")
    assert refused("primary = true\n", "primry = true\n").startswith("small.toml, line 25:")


def test_all_problems_are_told_at_once_in_the_order_of_the_lines():
    text = TEXT.replace("periods = 24", 'periods = "many"').replace(
        'measure = "officer"', 'measur = "officer"'
    )
    lines = refused("rates = {", "rate = {", text).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "small.toml, line 4",
        "small.toml, line 6",
        "small.toml, line 20",
        "small.toml, line 41",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"three days", dose', '"ICAT", dose', 'two arms are named "ICAT"'),
        ('control = "usual"', 'control = " usual"', "white space"),
        ('name = "injured"', 'name = "force"', 'two outcomes are named "force"'),
        ('name = "injured"', 'name = "treated"', '"treated" cannot name a column'),
        ("primary = true\n", "", "no outcome is primary"),
        ("rates = { force", "rates = { farce", "farce is not an outcome; they are force, injured"),
        ("effects = { force", "effects = { farce", "farce is not an outcome"),
        ("{ ICAT = 0.8", "{ ICAP = 0.8", "power.effects.injured: ICAP is not a treatment"),
        ("force = 0.72", "force = -0.72", "is not a ratio above 0"),
        ("force = 0.72", "force = nan", "is not a ratio above 0"),
        ("ICAT = 0.550", "ICAT = 0.8", "sum to 21/20, not 1"),
        ("ICAT = 0.550", "ICAT = 1.5", "not between 0 and 1"),
        ("ICAT = 0.550", 'ICAT = "half"', '"half" is not a probability'),
        ("ICAT = 0.550\n", "", "ICAT has no share"),
        ("ICAT = 0.550", "ICAP = 0.55", "ICAP is not an arm"),
        ("start = 2018-11-01", "start = 2018-11-15", "begin on the first of a month"),
        ("baseline = 12", "baseline = 24", "fill all 24 periods"),
        ("baseline = 12", "starts = [3]", "belong to a staggered schedule"),
        ('block = ["district"]', 'block = ["squad"]', "cannot be their block"),
        ('unit_of_count = "person"', 'unit_of_count = "report"', "person names a column, but"),
        ("average = [1, 12]", "average = [12, 1]", "is no window of periods"),
        ("periods = 24", "periods = true", "periods: should be a whole number, not true"),
        ('kind = "parallel"', 'kind = "waitlist"', "'stepped-wedge'"),
        ("[power]", '[randomization]\nscheme = "urn"\n[power]', 'scheme "urn" is not built yet'),
        (
            'name = "injured"',
            'name = "injured"\nwhere = " "',
            "line 29: outcomes.where: the condition is blank",
        ),
        ("format = 1", "format = 2", "format"),
        ("format = 1", "format = ", "not readable as TOML"),
        ("secondary = [", "seed = 99999999999999999999\nsecondary = [", "small.toml: analysis.seed"),
    ],
)
def test_a_contradiction_is_refused_in_plain_words(old, new, message):
    assert message in refused(old, new)


TABLES = {
    "": (Trial, {"format": "1", "name": '"small"'}),
    "units": (Units, {"randomize": '"squad"', "measure": '"officer"', "id": '"officer_id"'}),
    "arms": (Arms, {"control": '"usual"', "treatments": '["ICAT"]'}),
    "schedule": (Schedule, {"kind": '"staggered"', "periods": "24", "starts": "[3]", "sizes": "[4]"}),
    "randomization": (Randomization, {}),
    "[outcomes]": (Outcome, {"name": '"force"', "primary": "true"}),
    "records": (Records, {}),
    "analysis": (Analysis, {"primary": '"poisson"'}),
    "power": (Power, {"effects": "{ force = 0.7 }"}),
    "power.course": (Course, {}),
    "[schedule.by_block]": (BlockSchedule, {"district": '"N"'}),
    "[arms.probabilities.by_block]": (None, {"district": '"N"', "ICAT": "0.5"}),
}
ODD = (
    "[]", "{}", '""', "0", "-1", "1.5", "1e400", "nan", "true", "2024-01-31", "12:30:00", '"x"', "[0]",
    '[1, "a"]', "[[]]", "[{}]", "{ force = true }", "{ force = [] }",
)  # fmt: skip
LIBRARY_WORDS = re.compile(
    r"Input|[Tt]uple|dict|Decimal|datetime|Fraction|instance|True|False|None|validation"
    r"|valid (string|integer|number|boolean)|\(\)"
)


def with_value(table: str, key: str, value: str) -> str:
    """Give the text of a trial in which a key has a value."""
    changed = {name: {**keys} for name, (_, keys) in TABLES.items() if keys and "by_block" not in name}
    changed.setdefault(table, {**TABLES[table][1]})[key] = value
    if "by_block" in table:
        changed["units"]["block"] = '["district"]'
    lines = []
    for name, keys in changed.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{one} = {text}" for one, text in keys.items()]
    return "\n".join(lines)


@pytest.mark.parametrize("table", TABLES)
def test_no_value_of_any_key_is_answered_in_the_words_of_a_library(table):
    model, keys = TABLES[table]
    refusals = 0
    for key in model.model_fields if model else keys:
        for value in ODD:
            try:
                Trial.parse(with_value(table, key, value), name="small.toml")
            except TrialError as error:
                refusals += 1
                for line in str(error).splitlines():
                    assert line.startswith("small.toml"), (key, value)
                    assert not LIBRARY_WORDS.search(line), (key, value, line)
    assert refusals >= len(ODD) / 3


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("arms", "treatments", "[]", "arms.treatments: should be a list of 1 or more, not []"),
        ("analysis", "draws", "0", "analysis.draws: should be 1 or more, not 0"),
        ("analysis", "draws", "[]", "analysis.draws: should be a whole number or 'exact', not []"),
        ("analysis", "seed", "-1", "analysis.seed: should be 0 or more, not -1"),
        ("schedule", "start", "0", "start: write a date such as 2024-01-31, without quotation marks, not 0"),
        ("schedule", "start", "9999-12-01", "end about 10001; the years 1900 to 2199 can be scheduled"),
        ("schedule", "start", "1024-01-01", "the years 1900 to 2199 can be scheduled"),
        ("schedule", "never", "0", "schedule.never: should be true or false, not 0"),
        ("[schedule.by_block]", "sizes", "3", "schedule.by_block.sizes: should be a list in brackets, not 3"),
        ("[schedule.by_block]", "never", '"x"', 'schedule.by_block.never: should be true or false, not "x"'),
        ("[schedule.by_block]", "district", "[]", "district = [] names no block; write its text"),
        ("records", "date_format", '[1, "a"]', "date_format: should be text in quotation marks, not 1"),
        ("power", "rates", "{ force = true }", "power.rates.force: should be a number, not true"),
        ("[outcomes]", "within", '""', 'outcomes.within: "" is blank'),
        ("", "outcomes", "[]", "outcomes: should be a list of 1 or more, not []"),
        ("schedule", "shifts", '["7"]', '"7" is no time of day; write one such as "07:00"'),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_line_that_says_what_to_write(table, key, value, message):
    text = with_value(table, key, value).replace(
        "[[outcomes]]", "[x]" if key == "outcomes" else "[[outcomes]]"
    )
    with pytest.raises(TrialError) as error:
        Trial.parse(text, name="small.toml")
    (line,) = [line for line in str(error.value).splitlines() if message in line]
    assert len(str(error.value).splitlines()) == 1 or key == "outcomes", line


WEDGE = (
    TEXT.replace('"ICAT", {name = "three days", dose = 3, label = "Three-day course"}', '"ICAT"')
    .replace('[arms.probabilities]\nICAT = 0.550\n"three days" = "1/4"\n', "")
    .replace('{ ICAT = 0.8, "three days" = 0.7 }', "0.8")
    .replace('kind = "parallel"', 'kind = "stepped-wedge"')
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[power]", "[power]\nclusters = 13", "the last of 13 groups would first be treated in period 25"),
        ("[power]", "[power]\nclusters = 12", None),
        ("baseline = 12", "baseline = 12\nper_step = 2\n[power]\nclusters = 9\n[x]", "TOML"),
        ("baseline = 12", "baseline = 23\ntransition = 1", "after the 24 periods"),
        ('treatments = ["ICAT"]', 'treatments = ["ICAT", "B"]', "one treatment arm"),
        (
            'treatments = ["ICAT"]',
            'treatments = ["ICAT"]\n[arms.probabilities]\nICAT = 0.5',
            "parallel trial",
        ),
    ],
)
def test_a_wedge_must_fit_its_periods(old, new, message):
    if message is None:
        Trial.parse(WEDGE.replace(old, new))
    else:
        assert message in refused(old, new, WEDGE)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("starts = [3, 5]\nsizes = [4]", "2 starts need 2 sizes, not 1"),
        ("starts = [5, 3]\nsizes = [4, 4]", "must rise"),
        ("starts = [3, 30]\nsizes = [4, 4]", "starts 30 leave no room"),
        ("starts = [3]\nsizes = [4]\ntransition = 3", "starts 3 leave no room"),
        ("never = true", "needs starts and sizes"),
        ("starts = [3]\nsizes = [4]\n[[schedule.by_block]]\nsizes = [2]", "block column district is missing"),
        (
            'starts = [3]\nsizes = [4]\n[[schedule.by_block]]\ndistrict = "1"\nstart = [2]',
            "start is neither a block column nor one of",
        ),
        (
            'starts = [3]\nsizes = [4]\n[[schedule.by_block]]\ndistrict = "1"\nsizes = [2, 2]',
            "1 starts need 1 sizes, not 2",
        ),
    ],
)
def test_staggered_classes_must_agree_with_each_other(schedule, message):
    text = WEDGE.replace('kind = "stepped-wedge"', 'kind = "staggered"')
    assert message in refused("baseline = 12", schedule, text)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ("", "needs sequences"),
        ('sequences = [["usual", "ICAT"], ["ICAT"]]', "the same number of stretches"),
        ('sequences = [["usual", "ICAP"], ["ICAT", "usual"]]', '"ICAP" is not an arm'),
        ('sequences = [["usual", "ICAT", "usual", "ICAT", "usual"]]', "do not divide into 5 equal stretches"),
    ],
)
def test_a_crossover_needs_sequences_of_known_arms_in_equal_stretches(sequences, message):
    text = WEDGE.replace('kind = "stepped-wedge"', 'kind = "crossover"')
    assert message in refused("baseline = 12", sequences, text)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('"%Q"', '"%Q" has %Q, which is no part of a date'),
        ('"%-m/%d/%Y"', "has %-, which"),
        ('"%m/%d/%Y %"', "has %, which"),
        ('["%m/%d/%Y", "%m/%Y"]', '"%m/%Y" is no full date'),
        ('"mixed"', '"mixed" is no full date'),
        ('"%d/%d/%m/%Y"', "has a part twice"),
        ('"%Z %d/%m/%Y"', "has a zone that is not at its end"),
    ],
)
def test_a_date_format_that_reads_no_date_is_refused_with_its_line(written, problem):
    message = refused("[power]", f"[records]\ndate_format = {written}\n[power]")
    assert message.startswith("small.toml, line 40: records.date_format: ")
    assert problem in message


@pytest.mark.parametrize("form", ["%m/%d/%y", "%Y-%j", "%a %d %b %Y %I:%M:%S.%f %p %z", "%B %d, %Y 100%%"])
def test_a_date_format_of_year_month_and_day_is_kept(form):
    text = TEXT.replace("[power]", f'[records]\ndate_format = "{form}"\n[power]')
    assert Trial.parse(text).records.date_format == form


def test_a_missing_file_names_the_path_the_shipped_trials_and_the_nearest(tmp_path):
    with pytest.raises(TrialError, match=r"mine\.toml: there is no such file.*louisville_icat"):
        rct.load(tmp_path / "mine.toml")
    with pytest.raises(TrialError, match='Did you mean "louisville_icat"'):
        rct.load("lousville_icat")


def test_trials_are_equal_whatever_their_files_are_called_and_their_hashes_asked():
    trial = Trial.parse(TEXT, name="one.toml")
    assert len(trial.hash) == 64
    assert trial == Trial.parse(TEXT, name="another.toml")
    assert trial != Trial.parse(TEXT + "# another remark\n")


def test_a_file_with_byte_order_mark_and_carriage_returns_is_the_same_trial(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode("utf-8-sig"))
    assert rct.load(path).hash == Trial.parse(TEXT).hash
    assert rct.load(str(path)).to_toml() == TEXT.replace("\n", "\r\n")


@pytest.mark.parametrize("name", ["chicago_procedural_justice", "louisville_icat"])
def test_each_shipped_design_names_its_sources_and_its_assumptions(name):
    trial = rct.load(name)
    assert name in rct.designs()
    assert trial.sources
    assert trial.power.assumptions
    assert set(trial.power.effects) == set(trial.power.rates) == {outcome.name for outcome in trial.outcomes}


def test_the_chicago_cohorts_are_those_of_the_published_panel():
    schedule = rct.load("chicago_procedural_justice").schedule
    assert (len(schedule.starts), min(schedule.starts), max(schedule.starts)) == (47, 17, 72)
    assert sum(schedule.sizes) == 5537


def test_the_json_schema_knows_both_ways_to_write_an_arm_and_an_analysis():
    schema = json.dumps(Trial.model_json_schema())
    assert '"Treatment"' in schema
    assert '{"anyOf": [{"type": "string"}, {"$ref": "#/$defs/AnalysisSpec"}]' in schema


def test_a_number_too_large_for_exact_json_or_infinite_is_refused():
    with pytest.raises(TrialError, match=r"analysis\.seed: .* write it as text"):
        canonical_json({"analysis": {"seed": 2**53}})
    with pytest.raises(TrialError, match=r"power\.trend: Infinity"):
        canonical_json({"power": {"trend": Decimal("inf")}})


def test_trials_are_equal_by_what_their_files_say_not_by_the_files_names():
    one, same = (
        rct.load("louisville_icat"),
        rct.Trial.parse(rct.load("louisville_icat").source, name="x.toml"),
    )
    assert one == same
    assert len({one, same}) == 1
    assert one != one.model_copy(update={"name": "another"})


def test_a_value_is_repeated_to_a_glance_however_deep_it_is():
    from rct.trial_values import as_written

    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert as_written(deep) == "[" * 60 + " …"
    assert as_written({"a": [1, "x", True]}) == '{a = [1, "x", true]}'
