import pandas as pd
import pytest

from rct.errors import DataError
from rct.randomization import balance_table, block_counts, randomize


@pytest.fixture
def allocation(declared):
    roster = pd.DataFrame(
        {
            "officer_id": [f"{i}" for i in range(8)],
            "squad": ["A", "A", "B", "B", "C", "C", "C", "D"],
            "years": ["1", "3", "5", "", "7", "9", "11", "2"],
            "rank": "sergeant",
        }
    )
    return randomize(declared(randomize="squad"), roster, seed=1)


def test_randomized_and_measured_units_are_counted_by_block_and_sequence(allocation):
    counts = block_counts(allocation)
    sizes = {"A": 2, "B": 2, "C": 3, "D": 1}
    expected = allocation.frame.assign(n=allocation.frame["unit"].map(sizes)).groupby("sequence")["n"].sum()
    assert counts["randomized"].tolist() == [2, 2]
    assert counts["measured"].tolist() == expected.tolist()


def test_means_are_over_the_officers_of_each_arm_with_a_value(allocation):
    table = balance_table(allocation, ("years",)).set_index("group")
    control = set(allocation.frame.query("arm == 'usual'")["unit"])
    in_control = allocation.roster["squad"].isin(control)
    years = pd.to_numeric(allocation.roster["years"], errors="coerce")
    assert list(table.index) == ["usual", "ICAT from 1"]
    assert table.loc["usual", "mean"] == years[in_control].mean()
    assert table.loc["ICAT from 1", "sd"] == years[~in_control].std()
    assert table["units"].sum() == 7


def test_a_column_of_words_has_no_mean(allocation):
    with pytest.raises(DataError, match='rank: "sergeant" is no number'):
        balance_table(allocation, ("rank",))
