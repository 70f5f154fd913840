import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rct.errors import AllocationError, DataError
from rct.randomization import (
    BiasedCoin,
    Ledger,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    verify_ledger,
)

SEED = "5" * 64
DESIGN = SequentialDesign(arms=("usual", "ICAT"), strata=("district",), rule=PermutedBlocks(sizes=(2, 4)))


@pytest.fixture
def ledger(tmp_path):
    return Ledger.create(tmp_path / "ledger.sqlite", DESIGN, key=tmp_path / "key", seed=SEED, at="day 0")


def enrolled(ledger, n=8):
    return [
        ledger.enrol(f"{i:04d}", {"district": "north" if i % 3 else "south"}, at=f"day {i}")
        for i in range(1, n + 1)
    ]


def test_each_enrolment_returns_the_arm_and_the_head_of_the_chain(ledger):
    receipts = enrolled(ledger)
    assert [receipt.number for receipt in receipts] == list(range(1, 9))
    assert str(ledger.head) == str(receipts[-1])
    assert ledger.frame["arm"].tolist() == [receipt.arm for receipt in receipts]
    found = verify_ledger(ledger.path, receipts)
    assert (found.ok, found.problems, found.enrolled) == (True, (), 8)


def test_equal_seeds_arrivals_and_times_give_equal_ledgers(ledger, tmp_path):
    enrolled(ledger)
    again = Ledger.create(tmp_path / "again", DESIGN, key=tmp_path / "again.key", seed=SEED, at="day 0")
    enrolled(again)
    assert again.entries == ledger.entries


def test_permuted_blocks_balance_each_stratum_by_itself(ledger):
    enrolled(ledger, 40)
    counts = ledger.frame.groupby(["district", "arm"]).size().unstack()
    assert (counts["usual"] - counts["ICAT"]).abs().max() <= 2


def test_draws_run_the_rule_again_on_those_enrolled_in_their_order(ledger):
    with pytest.raises(AllocationError, match="nobody is enrolled yet"):
        ledger.draws(10, seed=1)
    enrolled(ledger, 12)
    draws = ledger.draws(500, seed=1)
    assert draws.shape == (500, 12)
    assert (draws == ledger.draws(500, seed=1)).all()
    north = (ledger.frame["district"] == "north").to_numpy()
    assert abs(draws[:, north].sum(axis=1) - north.sum() / 2).max() <= 2
    assert draws.mean(axis=0).min() > 0.4
    assert draws.mean(axis=0).max() < 0.6


def test_the_seed_is_in_no_entry_until_enrolment_closes(ledger):
    enrolled(ledger)
    assert SEED.encode() not in ledger.path.read_bytes()
    before = verify_ledger(ledger.path, [ledger.head])
    assert any("seed is secret until enrolment closes" in point for point in before.does_not_prove)
    last = ledger.close()
    after = verify_ledger(ledger.path, [last])
    assert after.ok
    assert not any("seed is secret" in point for point in after.does_not_prove)


def test_the_key_is_readable_by_its_owner_only_and_drawn_anew_each_time(tmp_path):
    keys = [tmp_path / f"key {i}" for i in range(2)]
    for key in keys:
        Ledger.create(tmp_path / f"of {key.name}", DESIGN, key=key)
    one, other = (key.read_text().strip() for key in keys)
    assert one != other
    assert re.fullmatch(r"[0-9a-f]{64}", one)
    if os.name == "posix":
        assert keys[0].stat().st_mode & 0o777 == 0o600


def test_an_id_with_an_invisible_character_is_not_enrolled(ledger):
    with pytest.raises(
        DataError, match=r"the unit to enrol, 04\\u200b12, holds invisible characters \(zero width"
    ):
        ledger.enrol("04\u200b12")


def test_nobody_is_enrolled_twice_and_the_message_has_the_receipt(ledger):
    first = ledger.enrol("0001", {"district": "north"})
    with pytest.raises(AllocationError, match=f"number 1, in arm {first.arm}; the receipt is {first}"):
        ledger.enrol("0001", {"district": "south"})
    assert ledger.head.number == 1


@pytest.mark.parametrize("levels", [None, {}, {"rank": "x"}, {"district": "north", "rank": "x"}])
def test_whoever_is_enrolled_needs_the_design_s_characteristics(ledger, levels):
    with pytest.raises(AllocationError, match="this ledger needs to know district, and was told"):
        ledger.enrol("0001", levels)
    with pytest.raises(DataError, match="blank id"):
        ledger.enrol("", {"district": "north"})
    assert ledger.head.number == 0


def test_a_closed_ledger_takes_nobody_any_more(ledger):
    ledger.close()
    with pytest.raises(AllocationError, match="enrolment is closed"):
        ledger.enrol("0001", {"district": "north"})


def test_enrolment_needs_the_ledger_s_own_key(ledger, tmp_path):
    with pytest.raises(AllocationError, match="needs the file with its secret seed"):
        Ledger.open(ledger.path).enrol("0001", {"district": "north"})
    with pytest.raises(AllocationError, match=r"nowhere\.key: there is no such file"):
        Ledger.open(ledger.path, key=tmp_path / "nowhere.key").enrol("0001", {"district": "north"})
    (tmp_path / "other").write_text("6" * 64)
    with pytest.raises(AllocationError, match="the key is not that of this ledger"):
        Ledger.open(ledger.path, key=tmp_path / "other").enrol("0001", {"district": "north"})


def test_nothing_is_overwritten(ledger, tmp_path):
    for path, key in (("ledger.sqlite", "new key"), ("new", "key")):
        with pytest.raises(AllocationError, match="exists already"):
            Ledger.create(tmp_path / path, DESIGN, key=tmp_path / key)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["key", "ledger.sqlite"]


def test_what_is_no_ledger_is_an_error(tmp_path):
    with pytest.raises(AllocationError, match="no such ledger"):
        Ledger.open(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no database at all, " * 100)
    with pytest.raises(AllocationError, match="not usable as a ledger"):
        verify_ledger(tmp_path / "text")


def test_sql_that_would_change_or_delete_an_entry_is_refused(ledger):
    enrolled(ledger, 2)
    for statement in ("UPDATE entries SET hash = ''", "DELETE FROM entries"):
        connection = sqlite3.connect(ledger.path)
        with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
            connection.execute(statement)
        connection.close()


EIGHT_ENROL_AT_ONCE = """
import os, sys
from rct.randomization import Ledger
start, go = os.pipe()
for worker in range(8):
    if os.fork() == 0:
        ledger = Ledger.open(sys.argv[1], key=sys.argv[2])
        os.close(go)
        os.read(start, 1)  # returns in all of them at once, when the last end to write to is closed
        for i in range(worker, 50, 8):
            ledger.enrol(f"{i:04d}", {"district": "north" if i % 2 else "south"})
        os._exit(0)
os.close(go)
sys.exit(sum(os.wait()[1] for _ in range(8)))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_fifty_enrolments_by_eight_processes_at_once_lose_none(ledger):
    subprocess.run([sys.executable, "-c", EIGHT_ENROL_AT_ONCE, ledger.path, ledger.key], check=True)
    assert sorted(ledger.frame["unit"]) == [f"{i:04d}" for i in range(50)]
    found = verify_ledger(ledger.path, [ledger.head], seed=SEED)
    assert (found.ok, found.problems, found.enrolled) == (True, (), 50)


KILLED_BEFORE_THE_COMMIT = """
import os, signal, sys
import rct.randomization.ledger as module
from rct.randomization import Ledger
real = module._insert
def insert(connection, entry):
    real(connection, entry)
    connection.execute("PRAGMA cache_size = 1")  # the pages of the next rows go to the file at once
    connection.executemany("INSERT INTO entries VALUES (?, ?, '')", [(i, "x" * 4000) for i in range(99, 199)])
    os.kill(os.getpid(), signal.SIGKILL)
module._insert = insert
Ledger.open(sys.argv[1], key=sys.argv[2]).enrol("9999", {"district": "north"})
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_killed_in_the_middle_of_a_write_leaves_a_valid_ledger(ledger):
    enrolled(ledger, 5)
    size = ledger.path.stat().st_size
    command = [sys.executable, "-c", KILLED_BEFORE_THE_COMMIT, ledger.path, ledger.key]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert ledger.path.stat().st_size > size
    assert ledger.path.with_name("ledger.sqlite-journal").stat().st_size > 0
    assert verify_ledger(ledger.path, seed=SEED).ok
    assert "9999" not in set(ledger.frame["unit"])
    ledger.enrol("0099", {"district": "north"})
    assert verify_ledger(ledger.path, [ledger.head], seed=SEED).enrolled == 6


ENROLS_FOR_EVER = """
import itertools, sys
from rct.randomization import Ledger
ledger = Ledger.open(sys.argv[1], key=sys.argv[2])
for i in itertools.count():
    print(ledger.enrol(f"{sys.argv[3]}-{i}", {"district": "north"}), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_processes_killed_at_any_moment_lose_no_receipt(ledger):
    receipts = []
    for attempt in range(4):
        command = [sys.executable, "-c", ENROLS_FOR_EVER, ledger.path, ledger.key, str(attempt)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        receipts.append(process.stdout.readline().strip())
        time.sleep(0.003 * attempt)
        process.kill()
        rest = process.communicate()[0].split("\n")
        receipts += [line for line in rest[:-1] if line]
    found = verify_ledger(ledger.path, receipts, seed=SEED)
    assert (found.ok, found.problems) == (True, ())
    assert found.enrolled >= len(receipts) >= 4


def rewritten(path, *statements):
    """Change a ledger as somebody would who owns the file."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER no_update")
    connection.execute("DROP TRIGGER no_delete")
    for statement in statements:
        connection.execute(statement) if isinstance(statement, str) else statement(connection)
    connection.commit()
    connection.close()


def rehashed(connection, first, last=None):
    """Hash the entries from ``first`` on anew, so that they follow from those before."""
    from rct.randomization.ledger_entries import chained

    rows = connection.execute("SELECT number, content, hash FROM entries ORDER BY number").fetchall()
    previous = ""
    for number, content, old in rows:
        new = chained(previous, content) if first <= number <= (last or number) else old
        connection.execute("UPDATE entries SET hash = ? WHERE number = ?", (new, number))
        previous = new


SWAP = (
    "UPDATE entries SET content = replace(replace(replace(content, 'usual', '?'), 'ICAT', 'usual'), "
    "'?', 'ICAT') WHERE number = 3"
)
TAMPERED = {
    "an edited arm": ([SWAP], "entry 3 does not have its hash"),
    "an edited arm, hashed anew": (
        [SWAP, lambda c: rehashed(c, 3, 3)],
        "entry 4 does not have its hash: it was edited, or entry 3 before it was edited and hashed anew",
    ),
    "an edited arm, all after it hashed anew": (
        [SWAP, lambda c: rehashed(c, 3)],
        "entry 8 is not the one that its receipt was issued for",
    ),
    "a removed row": (["DELETE FROM entries WHERE number = 5"], "entry 5 was removed"),
    "two removed rows": (["DELETE FROM entries WHERE number IN (4, 5)"], "entry 4 to 5 was removed"),
    "a removed row, renumbered and hashed anew": (
        [
            "DELETE FROM entries WHERE number = 7",
            "UPDATE entries SET number = 7 WHERE number = 8",
            lambda c: rehashed(c, 0),
        ],
        "entry 7 was renumbered: it says of itself that it is 8",
    ),
    "a cut tail": (["DELETE FROM entries WHERE number > 6"], "the tail was cut"),
    "an emptied ledger": (["DELETE FROM entries"], "every entry was removed"),
    "a removed beginning": (["DELETE FROM entries WHERE number = 0"], "entry 0 was removed"),
    "an edited design": (
        ["UPDATE entries SET content = replace(content, '[2,4]', '[2,2]') WHERE number = 0"],
        "entry 0, with the design, was edited",
    ),
    "an edited hash": (["UPDATE entries SET hash = 'x' WHERE number = 8"], "entry 8 does not have its hash"),
    "swapped rows": (
        [
            "UPDATE entries SET number = 99 WHERE number = 2",
            "UPDATE entries SET number = 2 WHERE number = 3",
            "UPDATE entries SET number = 3 WHERE number = 99",
        ],
        "entry 2 was renumbered",
    ),
    "an unreadable row": (
        ["UPDATE entries SET content = 'x' WHERE number = 2"],
        "entry 2 of the ledger is not",
    ),
    "a changed date": (
        ["UPDATE entries SET content = replace(content, 'day 2', 'day 9') WHERE number = 2"],
        "entry 2 does not have its hash",
    ),
    "a changed id": (
        ["UPDATE entries SET content = replace(content, '0002', '0009') WHERE number = 2"],
        "entry 2 does not have its hash",
    ),
    "somebody enrolled twice": (
        [
            "UPDATE entries SET content = replace(content, '0002', '0001') WHERE number = 2",
            lambda c: rehashed(c, 2),
        ],
        "0001 was enrolled twice, in entries 1 and 2",
    ),
    "an arm that the design does not have": (
        [
            "UPDATE entries SET content = replace(replace(content, 'ICAT', 'X'), 'usual', 'X') "
            "WHERE number = 2",
            lambda c: rehashed(c, 2),
        ],
        "entry 2: 0002 stands in the arm X, which the design does not have",
    ),
    "an added field": (
        [
            """UPDATE entries SET content = replace(content, '{"arm"', '{"a":1,"arm"') WHERE number = 2""",
            lambda c: rehashed(c, 2),
        ],
        "entry 2 has other fields",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_every_manipulation_of_a_ledger_is_named_against_its_receipts(how, ledger):
    receipts = enrolled(ledger)
    statements, message = TAMPERED[how]
    rewritten(ledger.path, *statements)
    found = verify_ledger(ledger.path, receipts)
    assert not found.ok
    assert any(message in problem for problem in found.problems), found.problems


def test_a_cut_tail_cannot_be_seen_without_a_receipt_and_the_verification_says_so(ledger):
    enrolled(ledger)
    rewritten(ledger.path, "DELETE FROM entries WHERE number > 6")
    found = verify_ledger(ledger.path)
    assert found.ok
    assert "whose tail was cut, or that was made again as a whole, cannot be told" in found.does_not_prove[0]


def test_a_receipt_protects_what_came_before_it_and_the_rest_is_named_as_open(ledger):
    receipts = enrolled(ledger)
    found = verify_ledger(ledger.path, [receipts[4]])
    assert found.ok
    assert "entries 6 to 8 could have been made again" in found.does_not_prove[0]


def test_a_whole_ledger_made_again_with_another_seed_is_found_against_any_receipt(ledger, tmp_path):
    receipts = enrolled(ledger)
    again = Ledger.create(tmp_path / "again", DESIGN, key=tmp_path / "again.key", seed="6" * 64, at="day 0")
    enrolled(again)
    again.close()
    assert verify_ledger(again.path).ok
    (problem,) = verify_ledger(again.path, receipts[2:3]).problems
    assert "or the whole ledger was made again" in problem


def test_an_arm_changed_before_any_receipt_was_kept_is_found_once_the_seed_is_public(ledger):
    enrolled(ledger)
    rewritten(ledger.path, SWAP, lambda c: rehashed(c, 3))
    assert verify_ledger(ledger.path).ok
    ledger.close()
    (problem, *_) = verify_ledger(ledger.path).problems
    assert re.match("entry 3: 0003 stands in arm (usual|ICAT), but the seed gives", problem)


def test_another_seed_published_at_the_end_is_found(ledger):
    enrolled(ledger)
    ledger.close()
    rewritten(
        ledger.path,
        f"UPDATE entries SET content = replace(content, '{SEED}', '{'6' * 64}') WHERE number = 9",
        lambda c: rehashed(c, 9),
    )
    assert verify_ledger(ledger.path).problems == (
        "the seed is not the one that the ledger was opened with: its commitment is another",
    )


def test_an_entry_after_the_closing_is_found(ledger):
    from rct.randomization.ledger_entries import entry_after

    enrolled(ledger, 2)
    ledger.close()
    content = {"kind": "enrol", "unit": "late", "levels": {"district": "north"}, "arm": "usual", "at": "x"}
    entry = entry_after(ledger.entries[-1], content)
    rewritten(
        ledger.path,
        lambda c: c.execute("INSERT INTO entries VALUES (?, ?, ?)", (entry.number, entry.text, entry.hash)),
    )
    assert any(
        "entry 4 was added after enrolment was closed" in p for p in verify_ledger(ledger.path).problems
    )


def test_nothing_is_added_to_a_ledger_that_was_tampered_with(ledger):
    enrolled(ledger)
    rewritten(ledger.path, SWAP)
    with pytest.raises(AllocationError, match="entry 3 of the ledger was changed or removed"):
        ledger.enrol("0099", {"district": "north"})


def test_a_head_must_be_a_receipt(ledger):
    with pytest.raises(AllocationError, match='"17" is no receipt'):
        verify_ledger(ledger.path, ["17"])


@pytest.mark.parametrize(
    ("rule", "levels"),
    [(BiasedCoin(), {}), (Minimisation(factors=("rank", "district")), {"rank": "sergeant", "district": "1"})],
    ids=["biased coin", "minimisation"],
)
def test_every_rule_is_carried_through_to_a_verified_end(rule, levels, tmp_path):
    design = SequentialDesign(arms=("usual", "ICAT"), rule=rule)
    ledger = Ledger.create(tmp_path / "ledger", design, key=tmp_path / "key")
    receipts = [ledger.enrol(str(i), levels) for i in range(12)]
    assert verify_ledger(ledger.path, [*receipts, ledger.close()]).ok


VECTORS = json.loads((Path(__file__).parent / "sequential_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VECTORS)
def test_every_entry_is_byte_for_byte_what_another_program_derived_from_the_documentation(name, tmp_path):
    vector = VECTORS[name]
    design = SequentialDesign(**vector["design"])
    ledger = Ledger.create(tmp_path / "ledger", design, key=tmp_path / "key", seed=vector["seed"], at="day 0")
    for day, (unit, levels) in enumerate(vector["arrivals"], start=1):
        ledger.enrol(unit, levels, at=f"day {day}")
    ledger.close(at="the end")
    assert [[entry.text, entry.hash] for entry in ledger.entries] == vector["entries"]
    assert verify_ledger(ledger.path, [ledger.head]).ok
