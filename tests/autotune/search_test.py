"""autotune/tune: what is measured, what is kept, and that nothing wrong ever wins."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import toy
from optuna.trial import TrialState
from toy import Toy, space_of
from toy_generator import microseconds
from autotune.tune import measuring
from autotune.tune.kernels import TuneError
from autotune.tune.measuring import measure, measure_afresh, with_tolerance
from autotune.tune.proposals import RETURNED
from autotune.tune.search import Outcome, Recording, create_study, slower_at


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """Compiled candidates, shared by the tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tuner(tmp_path, cache) -> Toy:
    return Toy(tmp_path, cache)


def outcomes(study: optuna.Study) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in study.get_trials():
        outcome = trial.user_attrs.get("outcome")
        if outcome not in (None, RETURNED):
            counts[outcome] = counts.get(outcome, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("behaviour", "outcome", "detail"),
    [
        (toy.RIGHT, "ok", ""),
        (toy.WRONG, "wrong", "differs from the reference by"),
        (toy.UNWRITTEN, "wrong", "differs from the reference by inf"),
        (toy.NOT_A_NUMBER, "wrong", "differs from the reference by inf"),
        (toy.CRASH, "crash", "SIGSEGV"),
        (toy.HANG, "hang", "no answer within 3 s"),
    ],
)
def test_a_candidate_is_judged_by_what_it_does(tuner, behaviour, outcome, detail):
    candidate = tuner.compile(behaviour=behaviour)
    result = measure(tuner.subject, {"hand": tuner.compile(), "candidate": candidate}, rounds=3)
    assert (result.outcome, detail in result.detail) == (outcome, True), result
    assert (result.name == "candidate") == (outcome != "ok")


def test_a_refused_candidate_says_why(tuner):
    compiled = tuner.compile(behaviour=toy.REFUSED)
    assert compiled.outcome == "refused"
    assert "such a behaviour is not compiled" in compiled.detail


def test_the_ratio_is_that_of_the_work(tuner):
    result = measure(tuner.subject, {"hand": tuner.compile(), "candidate": tuner.compile(rows=4, columns=8)}, rounds=9)
    median, low, high = result.ratio("candidate", "hand")
    assert 0.3 < median < 0.6  # 1000 microseconds to 2500
    assert low <= median <= high


def test_the_finalists_are_measured_in_several_processes(tuner, monkeypatch):
    replays = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **named: replays.append(args) or popen(*args, **named))
    candidates = {"hand": tuner.compile(), "candidate": tuner.compile(rows=4)}
    replays.clear()
    result = measure_afresh(tuner.subject, candidates, rounds=3, processes=2)
    assert (result.outcome, len(replays), len(result.seconds["candidate"])) == ("ok", 2, 6)
    assert len(measure_afresh(tuner.subject, candidates, rounds=3, processes=2, seconds=0).seconds["hand"]) == 2
    candidates["candidate"] = tuner.compile(behaviour=toy.CRASH)
    assert measure_afresh(tuner.subject, candidates, rounds=3, processes=2).outcome == "crash"


def test_candidates_may_err_twice_as_much_as_the_hand_schedule(tuner, monkeypatch):
    assert with_tolerance(tuner.subject, tuner.compile()).tolerance == 1e-4
    with pytest.raises(RuntimeError, match="the hand schedule failed: wrong, differs from the reference by"):
        with_tolerance(tuner.subject, tuner.compile(behaviour=toy.WRONG))
    monkeypatch.setattr(measuring, "measure", lambda *_: measuring.Result("ok", error={"hand": 3e-4}))
    assert with_tolerance(tuner.subject, tuner.compile()).tolerance == 6e-4


def test_the_compiler_makes_nothing_twice(tuner):
    first = tuner.compile(rows=8)
    made = first.library.stat().st_mtime_ns
    again = Toy(tuner.folder, tuner.compiler.cache).compile(rows=8)
    assert again == first
    assert again.library.stat().st_mtime_ns == made
    assert tuner.compile(rows=1).library != first.library


def test_the_search_finds_a_fast_one_and_nothing_wrong_wins(tuner):
    search = tuner.search(space=space_of([toy.RIGHT, toy.WRONG, toy.CRASH, toy.REFUSED]))
    search.run(trials=30, budget=100)
    chosen = search.choose()
    counts = outcomes(search.study)
    assert sum(counts.values()) == 30
    assert {"wrong", "crash", "refused", "ok"} <= set(counts)
    assert chosen.better
    assert chosen.parameters["behaviour"] == toy.RIGHT
    # Not necessarily the best of all, 1000: not every point was tried, and a loaded machine's clock errs.
    assert microseconds(chosen.parameters["rows"], chosen.parameters["columns"]) <= 1500
    for trial in search.study.get_trials(states=(TrialState.COMPLETE,)):
        assert trial.user_attrs["parameters"]["behaviour"] == toy.RIGHT


def test_where_nothing_is_right_the_hand_schedule_stays(tuner):
    space = space_of([toy.RIGHT, toy.WRONG])
    space.legal = {point for point in space.legal if point[2] == 1} | {(1, 1, 0)}
    search = tuner.search(space=space)
    search.run(trials=6, budget=60)
    chosen = search.choose()
    assert not chosen.better
    assert chosen.parameters == space.hand


def test_an_exhausted_space_ends_the_search(tuner):
    space = space_of([toy.RIGHT])
    space.legal = {(1, 1, 0), (2, 1, 0), (2, 2, 0)}
    search = tuner.search(space=space)
    search.run(trials=50, budget=60)
    assert sum(outcomes(search.study).values()) == 3


def test_the_point_next_to_a_known_or_illegal_one_is_measured(tuner):
    space = space_of([toy.RIGHT])
    space.legal = {(r, c, 0) for r in range(4) for c in range(4) if r + c > 1}
    study = create_study(optuna.storages.InMemoryStorage(), toy.STUDY, 1)

    class Bowl:
        """Best where rows and columns are the second of their values, which is illegal with the first."""

        def prepare(self, parameters):
            return parameters

        def evaluate(self, prepared, report):
            place = space.indices(prepared)
            return {"outcome": "ok", "ratio": 1.0 + (place["rows"] - 1) ** 2 + (place["columns"] - 1) ** 2}

        def note(self, entry):
            pass

    tuner.search(Bowl(), study, space=space).run(trials=13, budget=60)
    assert {tuple(t.params.values()) for t in study.get_trials(states=(TrialState.COMPLETE,))} == space.legal
    assert len(study.trials) == len(space.legal)  # no proposal is wasted
    assert space.nearest((0, 0, 0), {(0, 2, 0), (1, 1, 0)}, random.Random(1)) == (2, 0, 0)


def test_slow_candidates_are_given_up_early(tuner):
    search = tuner.search(space=space_of([toy.RIGHT]))
    search.run(trials=16, budget=60)
    counts = outcomes(search.study)
    assert counts.get("pruned", 0) >= 2
    for trial in search.study.get_trials(states=(TrialState.PRUNED,)):
        assert trial.user_attrs["rounds"] < 16


def test_kill_9_loses_no_finished_trial(tuner):
    """Another process tunes, is killed in the middle, and this one goes on."""
    process = subprocess.Popen(
        [sys.executable, toy.__file__, str(tuner.folder), str(tuner.compiler.cache), "16"],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)), stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while sum(outcomes(tuner.study()).values()) < 5:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {t.number: t.value for t in tuner.study().get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))}
    search = tuner.search(space=space_of([toy.RIGHT]))
    search.run(trials=16, budget=60)
    trials = search.study.get_trials()
    after = {t.number: t.value for t in trials if t.number in before}
    assert after == before
    assert not [t for t in trials if t.state == TrialState.RUNNING]
    assert sum(outcomes(search.study).values()) == 16
    measured = [tuple(t.params.items()) for t in trials if t.user_attrs.get("outcome") in ("ok", "pruned")]
    assert len(measured) == len(set(measured))  # what the dead one had proposed was measured once
    again = create_study(optuna.storages.InMemoryStorage(), toy.STUDY, 1)
    tuner.search(Recording(tuner.notes, space_of([toy.RIGHT])), again, space=space_of([toy.RIGHT])).run(16, budget=60)
    assert [tuple(t.params.items()) for t in again.get_trials()] == measured


def test_the_same_seed_and_timings_give_the_same_choice(tuner):
    space = space_of([toy.RIGHT, toy.WRONG])
    first = tuner.search(space=space, seed=7)
    first.run(trials=14, budget=60)
    chosen = first.choose()

    def again(seed: int):
        study = create_study(optuna.storages.InMemoryStorage(), toy.STUDY, seed)
        search = tuner.search(Recording(tuner.notes, space), study, seed, space)
        search.run(trials=14, budget=60)
        return search

    repeated = again(7)
    assert repeated.choose() == chosen
    proposed = [t.params for t in first.study.get_trials()]
    assert [t.params for t in repeated.study.get_trials()] == proposed
    assert [t.params for t in again(8).study.get_trials()] != proposed


def chosen_of(tuner, evaluator, behaviours: list[int]) -> Outcome:
    """Of the hand schedule and points that take 0.4 and 0.6 of its time, of these behaviours."""
    space = space_of([toy.RIGHT, toy.SLOW_ELSEWHERE])
    places = [(*place, space.values["behaviour"].index(b)) for place, b in zip([(2, 3), (2, 2)], behaviours)]
    space.legal = {(1, 1, 0), *places}
    search = tuner.search(evaluator, create_study(optuna.storages.InMemoryStorage(), toy.STUDY, 1), space=space)
    search.run(trials=3, budget=60)
    return search.choose()


def test_what_is_slower_at_a_neighbouring_size_is_not_kept(tuner):
    bench = tuner.bench(small=lambda: tuner.subject_of(50), large=lambda: tuner.subject_of(200))
    hand = chosen_of(tuner, bench, [toy.SLOW_ELSEWHERE])
    assert not hand.better and hand.parameters == tuner.space.hand
    assert [one["shape"] for one in hand.record["slower_at"]] == ["small", "large"]
    assert all(one["ratio"] > 2 for one in hand.record["slower_at"])  # 10 * 0.4, where a machine has nothing else to do


def test_the_next_best_is_kept_where_it_is_not_slower_at_a_neighbouring_size(tuner):
    bench = tuner.bench(small=lambda: tuner.subject_of(50))
    chosen = chosen_of(tuner, bench, [toy.SLOW_ELSEWHERE, toy.RIGHT])
    assert chosen.better and chosen.parameters["behaviour"] == toy.RIGHT
    [neighbour] = chosen.record["neighbours"]
    assert neighbour["shape"] == "small" and neighbour["ratio"] < 1
    recording = Recording(tuner.notes, space_of([toy.RIGHT, toy.SLOW_ELSEWHERE]))
    assert chosen_of(tuner, recording, [toy.SLOW_ELSEWHERE, toy.RIGHT]) == chosen


def test_neighbours_are_measured_for_what_would_be_kept_alone(tuner):
    asked = []
    bench = tuner.bench(small=lambda: asked.append("small"))
    records = bench.confirm([{"rows": 1, "columns": 1}, {"rows": 4, "columns": 4}, {"rows": 4, "columns": 8}])
    assert asked == ["small"]  # the second is slower than the third, the first than the hand schedule
    assert [one.get("neighbours") for one in records] == [
        None, None, [{"shape": "small", "outcome": "ok", "detail": "runs another kernel"}]
    ]


def test_what_cannot_be_measured_at_a_neighbouring_size_is_not_kept(tuner):
    def no_memory():
        raise TuneError("no memory for it")

    hand = chosen_of(tuner, tuner.bench(large=no_memory), [toy.RIGHT])
    assert not hand.better
    assert hand.record["slower_at"] == [{"shape": "large", "outcome": "refused", "detail": "no memory for it"}]


@pytest.mark.parametrize(
    ("neighbour", "against"),
    [
        ({"outcome": "ok", "ratio": 1.05, "low": 1.02}, True),
        ({"outcome": "ok", "ratio": 1.05, "low": 0.98}, False),  # within its spread
        ({"outcome": "ok", "ratio": 1.005, "low": 1.001}, False),
        ({"outcome": "ok", "ratio": 0.8, "low": 0.7}, False),
        ({"outcome": "wrong"}, True),
        ({"outcome": "ok"}, False),  # another kernel runs there
    ],
)
def test_a_neighbour_speaks_against_what_is_slower_beyond_doubt_or_fails(neighbour, against):
    record = {"outcome": "ok", "ratio": 0.9, "high": 0.95, "neighbours": [neighbour]}
    assert slower_at(record) == ([neighbour] if against else [])
    assert Outcome({}, record, 1).better != against


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "timings.jsonl: this is no timing file"),
        ("3", "timings.jsonl: this is no timing file"),
        ('{"parameters": {"tiles": 4}, "record": {}}', "timings of another kernel, which has the parameters tiles"),
    ],
)
def test_timings_that_are_none_or_of_another_kernel_are_refused(tuner, text, message):
    tuner.notes.write_text(text)
    with pytest.raises(ValueError, match=message):
        Recording(tuner.notes, tuner.space)
    with pytest.raises(ValueError, match="this is no timing file"):
        Recording(tuner.folder, tuner.space)


def test_ctrl_c_keeps_everything(tuner):
    search = tuner.search(space=space_of([toy.RIGHT]))
    bench, calls = search.evaluator, []

    class Interrupted:
        prepare, note, confirm = bench.prepare, bench.note, bench.confirm

        def evaluate(self, prepared, report):
            calls.append(prepared)
            if len(calls) == 6:
                raise KeyboardInterrupt
            return bench.evaluate(prepared, report)

    search.evaluator = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        search.run(trials=12, budget=60)
    trials = search.study.get_trials()
    assert sum(outcomes(search.study).values()) == 5
    assert not [t for t in trials if t.state == TrialState.RUNNING]
    waiting = [t.params for t in trials if t.user_attrs["outcome"] == RETURNED]
    assert waiting
    search.evaluator = bench
    search.run(trials=12, budget=60)
    assert sum(outcomes(search.study).values()) == 12
    done = [t.params for t in search.study.get_trials() if t.user_attrs.get("outcome") in ("ok", "pruned")]
    assert all(params in done for params in waiting)


def test_every_timing_is_noted(tuner):
    search = tuner.search(space=space_of([toy.RIGHT]))
    search.run(trials=4, budget=60)
    entries = [json.loads(line) for line in tuner.notes.read_text().splitlines()]
    assert [entry["parameters"] for entry in entries] == [t.user_attrs["parameters"] for t in search.study.get_trials()
                                                          if "parameters" in t.user_attrs]
    assert all(entry["record"]["outcome"] in ("ok", "pruned") for entry in entries)
