"""autotune/tune/summary.py: the lines that tell what was found."""

import pytest
from studies import make_comparison
from autotune.tune.case import Finding
from autotune.tune.search import Outcome
from autotune.tune.study_results import short_reason
from autotune.tune.summary import comparisons_table, findings_table


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_comparison_is_told_in_multiples_of_the_hand_schedule():
    heads, _, line = comparisons_table([make_comparison(failed={"default": "hang"})], "github").splitlines()
    told = dict(zip(cells(heads), cells(line)))
    assert told["hand"] == "1.9 ms"
    assert told["adams2019"] == "1.31" and told["mullapudi2016"] == "6.40" and told["tuned"] == "0.810"
    assert told["limit"] == "0.39 (bandwidth)"  # 0.74 of 1.9
    assert told["autoscheduler : tuned"] == "1.62"  # 1.31 to 0.81: the better of the two
    assert told["tuned : limit"] == "2.08"
    assert told["default"] == "Unhandled exception: <Internal> Error…"


def test_what_was_not_compared_or_has_no_limit_is_left_out():
    assert comparisons_table([make_comparison() | {"candidates": []}]) == ""
    assert "bandwidth" not in comparisons_table([make_comparison(limit=None)])


def test_what_is_slower_elsewhere_is_told_with_the_size():
    record = {"outcome": "ok", "ratio": 1.0, "low": 1.0, "high": 1.0, "slower_at": [{"shape": "x 2,48,32,32"}]}
    line = findings_table([Finding(None, make_comparison(), Outcome({}, record, 60))], "github").splitlines()[-1]
    assert cells(line)[2:4] == ["hand schedule kept: what is faster here is not at x 2,48,32,32", "60"]


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("", "refused"),
        ("not compiled within 120 s", "not compiled within 120 s"),
        ("terminate called ... 'std::bad_alloc'\n  what():  std::bad_alloc\n", "out of memory"),
        ("State with cost 3\nUnhandled exception: Error: Ran out of legal states\n", "Ran out of legal states"),
        ("x" * 50, "x" * 38 + "…"),
    ],
)
def test_a_failure_is_told_in_a_few_words(detail, reason):
    assert short_reason({"outcome": "refused", "detail": detail}) == reason
