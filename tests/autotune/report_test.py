"""autotune/tune/report.py: what a study found, in one file without network needs, whatever a study looks like."""

import base64
import html.parser
import math
import pathlib

import numpy
import pytest
from matplotlib import colors, image
from studies import FILTER, KNOBS, SHAPE, make_comparison, make_study
from autotune.tune.report import write_report
from autotune.tune.study_results import StudyResult

TEAL = "#00798c"  # tuned


class Page(html.parser.HTMLParser):
    """What a page loads, shows and leaves open."""

    EMPTY = {"meta", "img", "br"}

    def __init__(self, file: pathlib.Path):
        super().__init__()
        self.tags, self.open, self.sources, self.words = [], [], [], []
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def report(folder: pathlib.Path, studies=(), comparisons=()) -> Page:
    file = write_report(studies, comparisons, folder)
    assert file == folder / "tuning.html"
    page = Page(file)
    assert page.open == []
    return page


def test_what_was_not_compared_and_what_was_chosen_is_said(tmp_path):
    kept = make_comparison() | {"candidates": [], "outcome": {"outcome": "ok", "ratio": 1.0, "low": 1.0, "high": 1.0}}
    page = report(tmp_path, [make_study(40)], [kept])
    assert "Candidates were not compared with autoschedulers" in page.text
    assert "Measured afresh, none was faster beyond doubt: the hand schedule is kept." in page.text
    assert len(page.sources) == 3
    slower = kept | {"outcome": kept["outcome"] | {"slower_at": [{"shape": SHAPE, "outcome": "ok", "ratio": 1.2}]}}
    page = report(tmp_path, [make_study(40)], [slower])
    assert "slower at other sizes that would take it, or fails: the hand schedule is kept." in page.text
    found = kept | {"outcome": {"outcome": "ok", "ratio": 0.85, "low": 0.83, "high": 0.88, "rounds": 40}}
    page = report(tmp_path, [make_study(40)], [found])
    assert "the chosen one takes 0.850 (0.830 to 0.880)." in page.text


def test_one_file_has_everything_and_loads_nothing(tmp_path):
    page = report(tmp_path / "new", [make_study(40)], [make_comparison()])
    pictures = [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in page.sources]
    files = sorted((tmp_path / "new").glob("*.png"))
    assert len(files) == 4
    assert sorted(pictures) == sorted(file.read_bytes() for file in files)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not any(word in page.source for word in ("http:", "https:", "@import", "url("))


def test_the_table_says_what_was_compared(tmp_path):
    text = report(tmp_path, [], [make_comparison(failed={"default": "refused"})]).text
    assert "fns d_value, K=3, ratio 4, float32 x 2,64,32,32 ratio 4 0.74 ms bandwidth" in text
    assert "refused 12.2 ms 11.9–12.5 6.40 of hand 2.49 ms" in text
    assert "0.81 of hand 1.23 1.62 2.08 60" in text  # hand / tuned, best autoscheduler / tuned, tuned / limit, trials
    assert "default: refused: Unhandled exception: <Internal> Error & more" in text
    assert "upwell tune fns --shape 2,64,32,32 --ratio 4 --trials 60 --seed 1" in text


def count_of(colour: str, file: pathlib.Path) -> int:
    pixels = image.imread(file)[..., :3]
    return int((numpy.abs(pixels - colors.to_rgb(colour)).max(axis=-1) < 0.01).sum())


def test_the_picture_has_a_bar_for_what_was_measured(tmp_path):
    report(tmp_path / "a", [], [make_comparison()])
    report(tmp_path / "b", [], [make_comparison(failed={"tuned": "wrong"})])
    report(tmp_path / "c", [], [make_comparison(limit=None)])
    report(tmp_path / "d", [], [make_comparison(limit=None, hand=1900)])
    tuned = {name: count_of(TEAL, tmp_path / name / "comparison_x86_64_avx512.png") for name in "abcd"}
    assert tuned["b"] == 0
    assert tuned["a"] > 1.5 * tuned["c"] == 1.5 * tuned["d"] > 0  # from the limit; from the hand schedule's time


def test_a_machine_class_has_a_picture_of_its_own(tmp_path):
    comparisons = [make_comparison(), make_comparison(machine_class="opencl", limit=None)]
    report(tmp_path, [], comparisons)
    assert sorted(file.stem for file in tmp_path.glob("*.png")) == ["comparison_opencl", "comparison_x86_64_avx512"]


def test_what_comes_from_data_is_text(tmp_path):
    evil = "<script>alert('1')</script>"
    study = make_study(3, processor=evil, shape=f"x {evil}")
    comparison = make_comparison(shape=f"x {evil}") | {"command": evil, "processor": evil}
    page = report(tmp_path, [study], [comparison])
    assert "script" not in page.tags
    assert page.text.count(evil) >= 5


@pytest.mark.parametrize(
    "study, expected",
    [
        (make_study(0), ["Trials: none.", "Nothing was measured."]),
        (make_study(1, outcome="ok"), ["Trials: 1 ok.", "The best, trial 1, takes"]),
        (make_study(6, outcome="crash"), ["Trials: 6 crash.", "Nothing was measured.", "<b>not</b> & so on"]),
        (make_study(4, outcome="pruned"), ["Trials: 4 pruned.", "Nothing was measured."]),
        (make_study(20, KNOBS[:1]), ["The best measured ratio over unroll_rows,"]),
        (make_study(12, [("fixed", "one value", [2], 2)], outcome="ok"), ["over no parameter,"]),
        (make_study(30, [("many", "values", list(range(1, 65)), 50)]), ["The best measured ratio over many,"]),
        (make_study(80, kernel=FILTER, shape="planes 8,256,256", spread=6), ["guided_filter, float32 planes 8,256"]),
    ],
    ids=["no trial", "one", "all failed", "all pruned", "one knob", "no choice", "many values", "far apart"],
)
def test_any_study_has_a_report(tmp_path, study, expected):
    page = report(tmp_path, [study])
    for text in expected:
        assert text in page.text
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_without_anything_the_report_says_so(tmp_path):
    assert "Nothing was tuned." in report(tmp_path).text


def test_chosen_parameters_are_those_of_the_comparison(tmp_path):
    study = make_study(40)
    chosen = {"unroll_rows": 1, "channel_block": 8, "vector_layout": 2, "recompute": 1, "tile_columns": 4}
    page = report(tmp_path, [study], [make_comparison() | {"parameters": chosen}])
    assert "channel_block 8 32 8, 16, 32, 64, 128, 256 channels that one task computes" in page.text
    own = StudyResult(study)
    assert own.chosen == own.best.parameters != chosen


def test_outcomes_that_say_nothing_are_left_out():
    study = make_study(40)
    result = StudyResult(study)
    assert len(study.trials) == 43 and len(result.trials) == 40  # killed, seen, running
    assert sum(result.counts().values()) == 40


def test_the_best_is_the_fastest_that_was_measured():
    study = make_study(40)
    result = StudyResult(study)
    assert result.best.ratio == study.best_value
    numbers, ratios = zip(*result.best_so_far())
    assert list(ratios) == sorted(ratios, reverse=True) and list(numbers) == sorted(numbers)
    assert ratios[-1] == result.best.ratio and numbers[-1] == result.best.number


def test_the_parameter_that_matters_is_the_most_important():
    result = StudyResult(make_study(120, [KNOBS[4], KNOBS[3], KNOBS[0]], outcome="ok", spread=3))
    assert next(iter(result.importances)) == result.most_important(2)[0] == "unroll_rows"
    assert math.isclose(sum(result.importances.values()), 1)
    few = StudyResult(make_study(9, outcome="ok"))
    assert few.importances == {} and few.why_no_importances.startswith("9 measured trials: too few")
    assert few.most_important(2) == ["unroll_rows", "channel_block"]


def test_a_cell_has_the_best_of_its_trials():
    result = StudyResult(make_study(60))
    grid = result.grid(["unroll_rows", "vector_layout"])
    own = [t for t in result.trials if (t.parameters["unroll_rows"], t.parameters["vector_layout"]) == (2, 1)]
    assert grid[2, 1].trials == len(own) > 1
    assert grid[2, 1].best == min(trial.ratio for trial in own if trial.outcome == "ok")
    assert sum(cell.trials for cell in grid.values()) == len(result.trials)


def test_a_heat_map_of_too_many_values_keeps_the_marked_ones():
    result = StudyResult(make_study(30, [("many", "values", list(range(1, 65)), 50)]))
    shown = result.shown_values("many", 10)
    assert len(shown) == 10 and shown == sorted(shown)
    assert 50 in shown and result.chosen["many"] in shown


def test_shapes_are_in_the_order_of_their_numbers(tmp_path):
    shapes = ["x 2,128,32,32 ratio 4", SHAPE, "x 2,8,32,32 ratio 4"]
    text = report(tmp_path, [], [make_comparison(shape=shape) for shape in shapes]).text
    assert sorted(shapes, key=text.index) == list(reversed(shapes))
