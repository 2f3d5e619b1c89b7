"""autotune/tune/proposals.py: a search that was interrupted, went on elsewhere or is replayed makes the same trials."""

import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from autotune.tune.proposals import BATCH, RETURNED, answer
from autotune.tune.search import Outcome, Recording, Search, create_study
from autotune.tune.space import Space
from autotune.tune.storage import open_storage

SPAWN = multiprocessing.get_context("spawn")
TRIALS, SEED = 40, 5
STOPS = [(6,), (12,), (24,), (6, 12, 21, 24)]  # trials that are measured before each interruption
KNOBS = {"rows": range(1, 7), "columns": range(1, 7), "lanes": (1, 2, 4, 8)}


def make_space() -> Space:
    """With a rule, so that some proposals are illegal."""
    knobs = [{"name": name, "meaning": "", "values": list(values), "hand": list(values)[1]} for name, values in
             KNOBS.items()]
    legal = [[r, c, k] for r in range(6) for c in range(6) for k in range(4) if r + c + k < 11]
    return Space({"knobs": knobs, "rules": [], "legal": legal})


SPACE = make_space()


class Oracle:
    """Says the same of a candidate whenever it is asked, and writes it down; one in nine is wrong. stop: is called in
    the middle of the measurement after so many whole ones."""

    def __init__(self, notes: Path, after: int = -1, stop=None):
        self.notes, self.left, self.stop = notes, after, stop

    def prepare(self, parameters):
        return parameters

    def evaluate(self, prepared, report):
        dice = random.Random(str(sorted(prepared.items())))
        if dice.random() < 1 / 9:
            self._count()
            return {"outcome": "wrong", "detail": "as it was told"}
        return self._measure(prepared, dice, report)

    def _count(self):
        self.left -= 1
        if self.left == -1 and self.stop:
            self.stop()

    def _measure(self, prepared, dice, report):
        ratio = 0.8 + 0.05 * abs(prepared["rows"] - 4) + 0.04 * abs(prepared["columns"] - 3) + 0.01 * prepared["lanes"]
        steps = []
        for rounds in (3, 8, 16):
            steps.append([rounds, ratio * dice.uniform(0.9, 1.1)])
            going_on = report(*steps[-1])
            if rounds == 3:
                self._count()
            if not going_on and rounds < 16:
                return {"outcome": "pruned", "detail": "", "ratio": steps[-1][1], "rounds": rounds, "steps": steps}
        return {"outcome": "ok", "detail": "", "ratio": steps[-1][1], "rounds": 16, "steps": steps}

    def confirm(self, finalists):
        return [{"outcome": "ok", "detail": "", "ratio": r, "low": r, "high": r, "rounds": 40}
                for r in (0.7 + 0.02 * parameters["rows"] for parameters in finalists)]

    def note(self, entry):
        with self.notes.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def make_search(folder: Path, evaluator, workers: int = 2, seed: int = SEED) -> Search:
    """As a process that has just begun makes it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = create_study(open_storage(None, folder / "study.journal"), "search", seed)
    return Search(study, SPACE, evaluator, workers, seed)


def trials_of(study: optuna.Study) -> list[tuple]:
    """What was measured, in its order, and what came out."""
    return [(t.params, answer(t), t.value, t.intermediate_values) for t in study.get_trials() if answer(t)]


def whole(folder: Path, seed: int = SEED) -> tuple[list[tuple], Outcome]:
    """A search that nobody interrupted."""
    folder.mkdir()
    search = make_search(folder, Oracle(folder / "timings.jsonl"), seed=seed)
    search.run(TRIALS, budget=100)
    return trials_of(search.study), search.choose()


def replay(notes: Path, workers: int) -> tuple[list[tuple], Outcome]:
    study = create_study(optuna.storages.InMemoryStorage(), "search", SEED)
    search = Search(study, SPACE, Recording(notes, SPACE), workers, SEED)
    search.run(TRIALS, budget=100)
    return trials_of(search.study), search.choose()


def interrupt() -> None:
    raise KeyboardInterrupt


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def search_until(folder: Path, after: int, workers: int, stop) -> None:
    """after: whole measurements of this process."""
    make_search(folder, Oracle(folder / "timings.jsonl", after, stop), workers).run(TRIALS, budget=100)


def end_by_trials(folder: Path, done: int, stop: int, workers: int) -> None:
    make_search(folder, Oracle(folder / "timings.jsonl"), workers).run(stop, budget=100)


def end_by_ctrl_c(folder: Path, done: int, stop: int, workers: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        search_until(folder, stop - done, workers, interrupt)


def end_by_kill_9(folder: Path, done: int, stop: int, workers: int) -> None:
    process = SPAWN.Process(target=search_until, args=(folder, stop - done, workers, die))
    process.start()
    process.join(100)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("stops", STOPS, ids=str)
@pytest.mark.parametrize("end", [end_by_trials, end_by_ctrl_c, end_by_kill_9])
def test_an_interrupted_search_a_whole_one_and_a_replay_agree_trial_by_trial(tmp_path, end, stops):
    """Whatever the number of threads that candidates are compiled on."""
    expected = whole(tmp_path / "whole")
    folder = tmp_path / "interrupted"
    folder.mkdir()
    for workers, (done, stop) in enumerate(zip((0, *stops), stops), 1):
        end(folder, done, stop, workers)
        assert len(trials_of(make_search(folder, None).study)) == stop
    resumed = make_search(folder, Oracle(folder / "timings.jsonl"), workers=5)
    resumed.run(TRIALS, budget=100)
    trials, chosen = trials_of(resumed.study), resumed.choose()
    assert len(trials) == TRIALS
    assert len({tuple(params.items()) for params, *_ in trials}) == TRIALS
    assert {"ok", "pruned", "wrong"} == {outcome for _, outcome, *_ in trials}
    for number, (found, wanted) in enumerate(zip(trials, expected[0])):
        assert found == wanted, f"trial {number}"
    assert chosen == expected[1] and chosen.better
    for workers in (1, 2, 7):
        assert replay(folder / "timings.jsonl", workers) == (trials, chosen)
    assert not [t for t in resumed.study.get_trials() if t.state == TrialState.RUNNING]


def test_what_ended_between_its_note_and_its_end_is_not_lost(tmp_path, monkeypatch):
    """Killed when a trial had all of its answer and was not ended yet."""
    expected = whole(tmp_path / "whole")[0]
    folder = tmp_path / "killed"
    folder.mkdir()
    search = make_search(folder, Oracle(folder / "timings.jsonl"))
    calls = []

    def dies_before_telling(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 7:
            raise SystemExit

    tell = search.study.tell
    monkeypatch.setattr(search.study, "tell", lambda *a, **n: dies_before_telling(*a, **n) or tell(*a, **n))
    with pytest.raises(SystemExit):
        search.run(TRIALS, budget=100)
    resumed = make_search(folder, Oracle(folder / "timings.jsonl"))
    resumed.run(TRIALS, budget=100)
    assert trials_of(resumed.study) == expected


def test_another_seed_is_another_search(tmp_path):
    first, other = (whole(tmp_path / f"seed {seed}", seed)[0] for seed in (SEED, SEED + 1))
    assert [params for params, *_ in first] != [params for params, *_ in other]
    again = make_search(tmp_path / f"seed {SEED}", Oracle(tmp_path / "timings.jsonl"), seed=SEED + 1)
    assert trials_of(again.study) == []


def test_proposals_are_drawn_afresh_for_every_place(tmp_path):
    """Where random numbers began again, the first ones of every batch would be alike."""
    trials = [tuple(params.values()) for params, *_ in whole(tmp_path / "whole")[0]]
    batches = [trials[first : first + BATCH] for first in range(0, TRIALS, BATCH)]
    assert len({batch[0] for batch in batches}) == len({batch[1] for batch in batches}) == len(batches)


def test_what_was_under_way_at_two_deaths_is_not_tried_a_third_time(tmp_path):
    notes = tmp_path / "timings.jsonl"
    for done in (0, 3):
        end_by_kill_9(tmp_path, done, 3, 2)
    search = make_search(tmp_path, Oracle(notes))
    search.run(TRIALS, budget=100)
    trials = trials_of(search.study)
    crashed = [k for k, (_, outcome, *_) in enumerate(trials) if outcome == "crash"]
    assert crashed == [3]
    assert len(trials) == TRIALS
    assert len({tuple(params.items()) for params, *_ in trials}) == TRIALS
    assert [t[:2] for t in replay(notes, 2)[0]] == [t[:2] for t in trials]


class Reports:
    """Candidates with reports of their own; those without have 1.0 and a little more at every step."""

    def __init__(self, own: dict[int, list[float]]):
        self.own, self.seen, self.ended = own, 0, {}

    def prepare(self, parameters):
        return parameters

    def evaluate(self, prepared, report):
        number, self.seen = self.seen, self.seen + 1
        ratios = self.own.get(number, [1 + 0.001 * number] * 3)
        for rounds, ratio in zip((3, 8, 16), ratios):
            if not report(rounds, ratio) and rounds < 16:
                self.ended[number] = rounds
                return {"outcome": "pruned", "ratio": ratio}
        self.ended[number] = 16
        return {"outcome": "ok", "ratio": ratios[-1]}

    def note(self, entry):
        pass


def test_a_candidate_that_is_slower_than_most_by_then_is_given_up_however_lucky_it_was(tmp_path):
    """Beside others that report 1.000, 1.001, ... and are given up once six were faster."""
    own = {k: [1.0, 1.0, 1.0] for k in range(1, 9)} | {
        9: [0.95, 1.5, 1.5],  # lucky, then slow
        10: [0.95, 0.95, 1.5],  # slow when nothing is saved by giving up
        11: [1.1, 0.9, 0.9],  # slow at first
        12: [0.99, 0.98, 0.97],
    }
    reports = Reports(own)
    search = make_search(tmp_path, reports)
    search.run(13, budget=100)
    assert [reports.ended[k] for k in range(9, 13)] == [8, 16, 3, 16]
    states = [t.state for t in search.study.get_trials()][9:13]
    assert states == [TrialState.PRUNED, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]


def test_nothing_is_given_up_beside_few(tmp_path):
    reports = Reports({k: [1.0 + k, 1.0 + k, 1.0 + k] for k in range(6)})
    make_search(tmp_path, reports).run(7, budget=100)
    assert [reports.ended[k] for k in range(6)] == [16] * 6


def test_a_trial_that_was_put_back_is_none_of_those_that_others_are_compared_with(tmp_path):
    for _ in range(8):  # reports at 3 rounds that came to nothing
        with pytest.raises(KeyboardInterrupt):
            search_until(tmp_path, 0, 2, interrupt)
    reports = Reports({k: [5.0 + k] * 3 for k in range(6)})
    search = make_search(tmp_path, reports)
    assert {t.user_attrs["outcome"] for t in search.study.get_trials()} == {RETURNED}
    search.run(6, budget=100)
    assert [reports.ended[k] for k in range(6)] == [16] * 6
