import itertools
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import rct
from rct.errors import EstimationError
from rct.estimates import Estimates
from rct.panel import Panel
from rct.randomization import randomize
from rct.trial import Trial

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements with their attributes, the headings, and the visible text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", "".join(self.text))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def write(trial, results, tmp_path):
    def written(trial=trial, results=results, **given):
        return rct.report(trial, results, path=tmp_path / "report.html", **given).read_text(encoding="utf-8")

    return written


@pytest.fixture(scope="module")
def full(trial, results, panel, allocation, tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "report.html"
    return rct.report(trial, results, panel=panel, allocation=allocation, path=path).read_text("utf-8")


def renamed(trial, old, new):
    return Trial.parse(trial.to_toml().replace(old, new))


def test_every_outcome_and_every_method_is_reported(full, results, trial):
    page = Page(full)
    for row in results:
        assert row.method in page.words
        assert row.estimand in page.words
        assert row.inference in page.words
    for outcome in trial.outcomes:
        assert outcome.label in page.words


def test_a_name_with_markup_shows_as_text_everywhere(trial, results, roster, tmp_path, full):
    evil = renamed(trial, "Riverside ICAT", EVIL)
    evil = renamed(renamed(evil, "Use-of-force incidents", EVIL), '"ICAT"', f'"{EVIL}"')
    evil = renamed(evil, "Does ICAT training reduce use of force?", EVIL)
    people = roster.assign(division=roster["division"] + EVIL)
    allocation = randomize(evil, people, seed=EVIL)
    rows = tuple(
        replace(r, arm=EVIL, method=EVIL, warning=EVIL, estimand=EVIL, inference=EVIL) for r in results
    )
    path = rct.report(evil, Estimates(rows), allocation=allocation, path=tmp_path / "evil.html")
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert not page.all("script")
    assert "<script" not in source
    assert f"<title>{EVIL}" in unescape(source)
    assert any(EVIL in (svg.get("aria-label") or "") for svg in page.all("svg"))
    assert any(
        EVIL in text for text in re.findall(r"<text[^>]*>([^<]*)</text>", source) for text in [unescape(text)]
    )


def test_mathematics_in_a_name_is_not_typeset(trial, results, roster, tmp_path):
    people = roster.assign(division=roster["division"] + " $x^2$")
    allocation = randomize(trial, people, seed="s")
    source = rct.report(trial, results, allocation=allocation, path=tmp_path / "r.html").read_text(
        encoding="utf-8"
    )
    assert re.search(r"<text[^>]*>Division 1 \$x\^2\$</text>", source)


def test_simulated_data_say_so_on_top_at_every_section_and_on_every_printed_page(full):
    page = Page(full)
    assert page.words.index("SIMULATED DATA: no officer") < page.words.index("In short")
    headings = re.findall(r"<h2.*?</h2>", full, flags=re.DOTALL)
    assert len(headings) >= 7
    assert all("Simulated data" in heading for heading in headings)
    assert all("Simulated data." in caption for caption in re.findall(r"<figcaption>.*?</figcaption>", full))
    assert '@top-center { color: #8a3b00; content: "SIMULATED DATA"' in full
    assert "Use-of-force incidents, ICAT" not in page.words
    assert "Put in were these true changes: Use-of-force incidents −30.0 %" in page.words


def test_real_data_are_not_called_simulated(write, panel, allocation, results):
    real = replace(panel, meta={**panel.meta, "simulated": False})
    source = write(panel=real, allocation=allocation, results=replace(results, meta={}))
    assert "simulated data" not in Page(source).words.lower()


def test_the_file_needs_nothing_beside_it(full):
    page = Page(full)
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not page.all("link")
    assert not page.all("script")
    assert not re.search(r"url\((?!#)|@import|https?://", full)


def test_equal_inputs_give_equal_bytes(trial, results, panel, allocation, tmp_path):
    written = [
        rct.report(trial, results, panel=panel, allocation=allocation, path=tmp_path / name).read_bytes()
        for name in ("one.html", "two.html")
    ]
    assert written[0] == written[1]


def test_estimates_alone_make_a_report(write):
    page = Page(write())
    assert "−17.7 % (−32.2 to −3.2)" in page.words
    assert "Design and allocation" not in page.words
    assert "Verified" not in page.words


def test_a_wedge_shows_both_answers_with_what_each_assumes(full):
    table = next(t for t in re.findall(r"<table.*?</table>", full, flags=re.DOTALL) if "The two answers" in t)
    words = Page(table).words
    assert "average over exposure times 1–3" in words
    assert "constant effect" in words
    assert "−17.7 % (−32.2 to −3.2), p < .001" in words
    assert "−25.0 % (−40.0 to −10.0), p = .031" in words
    assert "not the average effect" in words
    assert "valid either way" in words


def test_the_headline_is_the_primary_analysis(full):
    cards = re.findall(r'<p class="figure">(.*?)</p>', full)
    assert cards == ["−17.7\N{NO-BREAK SPACE}%"] * 2


def test_the_verification_says_what_a_typed_seed_does_not_prove(full, allocation):
    words = Page(full).words
    assert "Verified: reproducible." in words
    assert allocation.certificate["does_not_prove"] in words


def test_an_allocation_that_does_not_follow_from_its_seed_is_called_unverified(write, panel, allocation):
    forged = replace(allocation, certificate={**allocation.certificate, "seed": "another"})
    words = Page(write(panel=panel, allocation=forged)).words
    assert "Not verified." in words
    assert "Verified: reproducible." not in words


def test_warnings_are_gathered_with_their_analyses_and_counted_on_top(full):
    words = Page(full).words
    assert "1 warning to read before using these figures" in words
    assert "Officer injuries: Poisson, unit and period effects: mean over exposure times 1–3" in words


def test_an_edit_after_the_allocation_is_an_amendment(trial, write, panel, allocation):
    edited = renamed(trial, "Officer injuries", "Injured officers")
    words = Page(write(trial=edited, panel=panel, allocation=allocation)).words
    assert "differs from the copy kept with the allocation in: outcomes" in words
    assert "another version of the trial file" in words


def test_the_allocation_is_listed_with_its_calendar_and_probabilities(full, allocation):
    words = Page(full).words
    for unit, starts in zip(allocation.frame["unit"], allocation.frame["starts"], strict=True):
        label = {5: "2019-03", 7: "2019-05", 9: "2019-07", 11: "2019-09"}[starts]
        assert re.search(rf"{unit}\s*ICAT\s*{starts} \({label}\)\s*25.0 %\s*10", words)


def test_balance_is_shown_where_the_trial_names_covariates(trial, write, roster, full):
    assert "Balance before treatment" not in Page(full).words
    named = renamed(trial, "[analysis]", '[analysis]\ncovariates = ["years", "rank"]')
    known = roster.assign(years=[str(i % 7) for i in range(40)], rank="sergeant")
    page = Page(write(trial=named, allocation=randomize(named, known, seed="riverside")))
    assert "difference of each group's mean from all others, over officers" in page.words
    assert "Of 999 allocations by the same mechanism" in page.words
    (figure,) = [svg for svg in page.all("svg") if "Love plot" in svg["aria-label"]]
    assert figure["aria-label"].count("years, ICAT from") == 4
    assert "rank" not in figure["aria-label"]


def test_baseline_rates_are_per_hundred_officers_and_year(full, panel):
    before = panel.frame.query("period <= 4 and starts == 5")
    rate = 100 * 12 * before["force"].sum() / before["exposure"].sum()
    table = next(t for t in re.findall(r"<table.*?</table>", full, flags=re.DOTALL) if "Before anyone" in t)
    assert "Use-of-force incidents per 100 officers per year" in Page(table).words
    assert re.search(rf"5 \(2019-03\)\s*1\s*10\s*{rate:.1f}", Page(table).words)


def test_problems_are_counted_by_kind_and_the_first_ten_listed(write, panel, allocation):
    rows = [("force.csv", i, f"x{i}", f"unit x{i} not on the roster", "left out") for i in range(1, 13)]
    rows.append(("force.csv", 99, "y", "date outside the schedule", "left out"))
    problems = pd.DataFrame(rows, columns=["file", "row", "unit", "problem", "done"])
    words = Page(write(panel=replace(panel, problems=problems), allocation=allocation)).words
    assert re.search(
        r"unit … not on the roster\s*left out\s*12\s*force.csv, row 1, row 2, row 3; and 9 more", words
    )
    assert "The first 10 of 13 problems." in words
    assert "x10" in words
    assert "x11" not in words


def test_power_is_shown_with_its_monte_carlo_error(write, panel, allocation):
    columns = [
        "outcome",
        "analysis",
        "arm",
        "effect",
        "power",
        "mc_error",
        "bias",
        "coverage",
        "type_s",
        "type_m",
        "false_positive",
        "excludes_null",
        "failed",
    ]
    frame = pd.DataFrame(
        [("force", "constant", "ICAT", 0.72, 0.485, 0.016, 0.01, 0.95, 0.0, 1.4, 0.051, 0.31, 2)],
        columns=columns,
    )
    said = {"impossible": "", "verdicts": ["Found 48 times in 100."], "notes": (), "heading": "Riverside."}
    power = SimpleNamespace(frame=frame, primary=frame, **said)
    words = Page(write(panel=panel, allocation=allocation, power=power)).words
    assert "Found 48 times in 100." in words
    assert re.search(r"Use-of-force incidents, −28.0 %\s*48.5 %\s*1.6 %\s*5.1 %\s*31.0 %", words)
    assert "the estimate is on average 1.4 times the true effect" in words
    enough = SimpleNamespace(frame=frame, primary=frame.assign(power=0.9), **said)
    assert "times the true effect" not in Page(write(panel=panel, power=enough)).words


def test_two_answers_stand_side_by_side_for_every_course(write, panel, allocation):
    columns = ["course", "outcome", "answer", "mean_effect", "power", "mc_error", "excludes_null", "bias"]
    rows = [
        (course, outcome, answer, 0.8, 0.31, 0.015, excludes, bias, 0.93, 1000)
        for course in ("constant", "3 periods late")
        for outcome in ("force", "citizen_injury")
        for answer, excludes, bias in (("mean of 1–12", 0.19, 0.001), ("constant", 0.27, 0.226))
    ]
    courses = pd.DataFrame(rows, columns=[*columns, "coverage", "sims"])
    source = write(panel=panel, allocation=allocation, courses=courses)
    words = Page(source).words
    for answer, share, bias in (("mean of 1–12", "19.0 %", ".001"), ("constant", "27.0 %", ".226")):
        name = "Constant" if answer == "constant" else "Mean: of 1–12"
        row = rf"3 periods late\s*{name}\s*−20.0 %\s*31.0 %\s*1.5 %\s*{share}\s*0?{bias}"
        assert re.search(rf"Use-of-force incidents, {row}", words)
    assert "Two answers for Use-of-force incidents" in source
    assert "Two answers for Incidents with a citizen" not in source  # of the primary outcome alone
    assert "two-answers-force" in source
    assert 'id="courses"' not in write(panel=panel, allocation=allocation)


def test_design_based_differences_are_shown_in_percent_of_their_baseline(write, estimate):
    row = estimate(
        "force",
        method="staggered, efficient",
        estimand="average effect, simple aggregation",
        scale="difference",
        estimate=-0.01,
        baseline=0.05,
        conf_low=-0.018,
        conf_high=-0.002,
    )
    events = [replace(row, event_time=float(t), estimand="effect at one event time") for t in (0, 1, 2)]
    source = write(results=Estimates((row, *events)))
    words = Page(source).words
    assert "−20.0 % (−36.0 to −4.0)" in words
    assert "months since the first treated one (0)" in words
    assert len(Page(source).all("svg")) == 2


def test_several_arms_are_told_apart(trial, write, estimate):
    frame = pd.DataFrame([(f"o{i}", p) for i in range(30) for p in range(1, 7)], columns=["unit", "period"])
    arms = np.array(["none", "low", "high"])[np.arange(len(frame)) // 6 % 3]
    frame = frame.assign(
        arm=arms,
        treated=np.where(frame["period"] > 2, pd.Series(arms).map({"none": 0, "low": 0.5, "high": 1.0}), 0.0),
        force=np.arange(len(frame)) % 3,
    )
    panel = Panel.from_frame(
        frame, unit="unit", period="period", outcomes=["force"], treated="treated", arm="arm"
    )
    edits = {
        'treatments = ["ICAT"]': 'treatments = [{ name = "low", dose = 0.5 }, "high"]',
        "stepped-wedge": "parallel",
        "periods = 12": "periods = 6",
        "baseline = 4": "baseline = 2",
        'effect = "exposure-time", average = [1, 3]': 'effect = "constant"',
    }
    parallel = trial.to_toml()
    for old, new in edits.items():
        parallel = parallel.replace(old, new)
    rows = tuple(estimate("force", arm=arm, reference="none") for arm in ("low", "high"))
    source = write(trial=Trial.parse(parallel), results=Estimates(rows), panel=panel)
    words = Page(source).words
    assert "Use-of-force incidents, low" in words
    assert "Use-of-force incidents, high" in words
    labels = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", source)]
    assert {"low (dose 0.5)", "high (dose 1)", "low", "high", "none"} <= set(labels)


def test_tables_and_headings_can_be_read_by_machines(full):
    page = Page(full)
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(page.all("svg"))
    assert all(svg.get("aria-label") for svg in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= set(ids)


def test_nothing_to_report_is_an_error_and_writes_nothing(trial, tmp_path):
    with pytest.raises(EstimationError, match="no estimates to report"):
        rct.report(trial, Estimates(()), path=tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_and_nothing_else_is_left_in_it(trial, results, tmp_path):
    path = rct.report(trial, results, path=tmp_path / "new" / "report.html")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
