"""autotune/tune/storage.py: processes share a study, a killed one loses its running trial only, and a broken address
says so without its password."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from subprocess import PIPE

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState
from autotune.tune.storage import BEGUN, StorageError, conclude, is_alive, open_storage, owner, reclaim

NAME = "shared"
KNOBS = {"rows": IntDistribution(0, 7), "columns": IntDistribution(0, 7), "lanes": IntDistribution(0, 3)}
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["postgresql", "journal"])
def address(request, tmp_path) -> str:
    """Of a storage that holds no study of that name."""
    if request.param == "journal":
        return str(tmp_path / "new folder" / "study.journal")
    address = request.getfixturevalue("postgres")
    return make_database(address, f"test{time.monotonic_ns()}")


def make_database(address: str, name: str) -> str:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return address.replace("/postgres?", f"/{name}?")


def shared_study(address: str, seed: int = 0) -> optuna.Study:
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=5, seed=seed)
    return optuna.create_study(
        storage=open_storage(address, default=None), study_name=NAME, sampler=sampler, load_if_exists=True
    )


def ask(study: optuna.Study) -> optuna.Trial:
    trial = study.ask(KNOBS)
    trial.set_user_attr("owner", owner())
    return trial


def work(address: str, seed: int, count: int, start, end, bests) -> None:
    """A worker process: both begin on an empty storage at the same moment."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start.wait(60)
    study = shared_study(address, seed)
    for _ in range(count):
        trial = ask(study)
        study.tell(trial, (trial.params["rows"] - 5) ** 2 + (trial.params["columns"] - 2) ** 2 + trial.params["lanes"])
    end.wait(60)
    bests.put((study.best_trial.number, study.best_value))


def hang(address: str, count: int, hanging) -> None:
    """A worker that stays in the trial after `count` others."""
    study = shared_study(address)
    for _ in range(count):
        study.tell(ask(study), 100)
    ask(study)
    hanging.set()
    time.sleep(600)


def test_two_processes_share_a_study(address):
    start, end, bests = SPAWN.Barrier(2), SPAWN.Barrier(2), SPAWN.SimpleQueue()
    workers = [SPAWN.Process(target=work, args=(address, seed, 15, start, end, bests)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    trials = shared_study(address).get_trials()
    assert [trial.number for trial in trials] == list(range(30))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    owners = [int(trial.user_attrs["owner"].split(":")[1]) for trial in trials]
    assert {pid: owners.count(pid) for pid in owners} == {worker.pid: 15 for worker in workers}
    best = min(trials, key=lambda trial: trial.value)
    assert bests.get() == bests.get() == (best.number, best.value)


def test_kill_9_loses_the_running_trial_only_and_reclaim_ends_it(address):
    study = shared_study(address)
    study.tell(ask(study), 50)
    hanging = SPAWN.Event()
    worker = SPAWN.Process(target=hang, args=(address, 3, hanging))
    worker.start()
    assert hanging.wait(120)
    own = ask(study)  # this process is at work too
    assert reclaim(study) == []
    assert len(of_state(study, TrialState.RUNNING)) == 2
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()

    study = shared_study(address)
    (lost,) = [trial for trial in of_state(study, TrialState.RUNNING) if trial.number != own.number]
    assert reclaim(study) == []  # it is not known to have killed anything
    assert len(of_state(study, TrialState.COMPLETE)) == 4
    assert [trial.number for trial in of_state(study, TrialState.FAIL)] == [lost.number]
    assert [trial.number for trial in of_state(study, TrialState.RUNNING)] == [own.number]
    assert reclaim(study) == [] and len(study.trials) == 6


def of_state(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    return study.get_trials(states=(state,))


def begin(study: optuna.Study, rows: int, begun: bool, **attributes: object) -> optuna.Trial:
    """A trial as the search has it under way; begun: its candidate runs."""
    study.enqueue_trial({"rows": rows, "columns": 0, "lanes": 0})
    trial = ask(study)
    for name, value in ({"parameters": dict(trial.params)} | ({BEGUN: True} if begun else {}) | attributes).items():
        trial.set_user_attr(name, value)
    return trial


def test_what_was_under_way_at_two_deaths_counts_as_a_crash():
    study = optuna.create_study()
    for death in (1, 2):
        begin(study, 3, begun=True)
        begin(study, 4, begun=False)  # compiled beside it: nobody's death is its fault
        assert reclaim(study, lambda owner: True) == []
        given_up = reclaim(study, lambda owner: False)
        assert [trial.params["rows"] for trial in given_up] == ([] if death == 1 else [3])
    (crashed,) = [trial for trial in study.trials if trial.user_attrs.get("outcome") == "crash"]
    assert crashed.params["rows"] == 3 and "killed twice" in crashed.user_attrs["detail"]
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}


def test_where_none_ran_all_that_were_compiled_may_have_been_it():
    study = optuna.create_study()
    for death in (1, 2):
        begin(study, 3, begun=False)
        begin(study, 4, begun=False)
        assert len(reclaim(study, lambda owner: False)) == (0 if death == 1 else 2)


def test_a_trial_that_was_put_back_was_no_death():
    study = optuna.create_study()
    for _ in range(3):
        trial = begin(study, 3, begun=True, outcome="returned")
        assert conclude(study, trial.number, trial.user_attrs)
        assert not conclude(study, trial.number, trial.user_attrs)  # it is ended already
    begin(study, 3, begun=True)
    assert reclaim(study, lambda owner: False) == []


def test_a_dead_process_s_trial_that_had_its_answer_keeps_it():
    study = optuna.create_study()
    begin(study, 3, begun=True, ratio=0.9, outcome="ok")
    trial = begin(study, 4, begun=True, ratio=1.9, outcome="pruned")
    trial.report(1.9, 3)
    begin(study, 5, begun=True, outcome="wrong")
    assert reclaim(study, lambda owner: False) == []
    assert [(t.state, t.value) for t in study.trials] == [
        (TrialState.COMPLETE, 0.9), (TrialState.PRUNED, 1.9), (TrialState.FAIL, None)
    ]


def test_a_trial_without_an_owner_may_have_one_in_a_moment():
    study = optuna.create_study()
    study.ask()
    reclaim(study, lambda owner: False)
    assert of_state(study, TrialState.RUNNING)


def test_only_a_process_that_is_known_to_be_dead_is_dead():
    host, pid, started = owner().rsplit(":", 2)
    assert is_alive(owner())
    assert int(pid) == os.getpid()
    assert not is_alive(f"{host}:{pid}:{int(started) + 1}")  # a later process has the number
    assert is_alive(f"another-{host}:{pid}:{int(started) + 1}")


def test_a_process_that_nobody_has_waited_for_yet_is_dead():
    code = "import autotune.tune.storage as s; print(s.owner(), flush=True); input()"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, text=True, env=environment) as child:
        name = child.stdout.readline().strip()
        assert name.split(":")[1] == str(child.pid) and is_alive(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(name)
        child.wait()
        assert not is_alive(name)


def die_writing(path: str, writing) -> None:
    """Leaves half a line, and does not let go of the journal."""

    def half_written(file: int) -> None:
        os.ftruncate(file, os.fstat(file).st_size - 9)
        writing.set()
        time.sleep(600)

    study = shared_study(path)
    os.fsync = half_written
    ask(study)


def test_a_journal_whose_writer_was_killed_in_a_line_goes_on(tmp_path):
    path = str(tmp_path / "study.journal")
    study = shared_study(path)
    study.tell(ask(study), 3)
    writing = SPAWN.Event()
    worker = SPAWN.Process(target=die_writing, args=(path, writing))
    worker.start()
    assert writing.wait(120)
    assert not (tmp_path / "study.journal").read_bytes().endswith(b"\n")
    thread = threading.Thread(target=lambda: study.tell(ask(study), 2))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()  # one writer at a time
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    thread.join(5)
    assert not thread.is_alive()
    assert sorted(trial.value for trial in of_state(shared_study(path), TrialState.COMPLETE)) == [2, 3]


def test_the_default_is_a_journal_in_a_folder_of_its_own(tmp_path):
    default = tmp_path / "a" / "b" / "tune.journal"
    storage = open_storage(None, default)
    optuna.create_study(storage=storage, study_name=NAME)
    assert optuna.load_study(storage=open_storage(str(default), tmp_path / "c"), study_name=NAME).trials == []
    assert not (tmp_path / "c").exists()


def test_sqlite_is_a_storage(tmp_path):
    address = f"sqlite:///{tmp_path}/studies.db"
    study = shared_study(address)
    study.tell(ask(study), 1)
    assert shared_study(address).best_value == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("postgresql://me:cr%40et@127.0.0.1:1/studies", r"sql://me:\*\*\*@127.0.0.1:1/studies: cannot .* refused"),
        ("postgresql://me:secret@127.0.0.1:1/studies?secret=1", r"cannot .* invalid connection option"),
        ("postgresql://me:se:cr@et@127.0.0.1:1/studies", r"postgresql://me:\*\*\*@127.0.0.1:1/studies: .* written %40"),
        ("postgresql://me:cr%40et@127.0.0.1:one/studies", r"postgresql://me:\*\*\*@127.0.0.1:one/studies: cannot"),
        ("postgresql:///studies?host=127.0.0.1&port=1&password=se:cr@et", r"password=\*\*\*: cannot .* refused"),
        ("mysql://me:se:cr@et@127.0.0.1/studies", r"--storage should be .* but is mysql://me:\*\*\*@127.0.0.1/studies"),
        ("sqlite:////nowhere/studies.db", "sqlite:////nowhere/studies.db: cannot .* unable to open"),
        ("studies", "--storage should be .* but is studies"),
        ("/proc/nowhere/x.journal", "/proc/nowhere/x.journal: cannot be used as a journal"),
    ],
)
def test_a_broken_address_is_an_error_without_its_password(tmp_path, text, message):
    with pytest.raises(StorageError, match=message) as caught:
        open_storage(text, tmp_path / "default.journal")
    assert not any(part in str(caught.value) for part in ("cr@et", "cr%40et", "secret"))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not (tmp_path / "default.journal").exists()


def test_a_wrong_password_is_an_error_without_it(postgres, tmp_path):
    with pytest.raises(StorageError, match=r"upwell:\*\*\*@.*password authentication failed") as caught:
        open_storage(postgres.replace("open%20sesame", "open%20barley"), tmp_path / "default.journal")
    assert "barley" not in str(caught.value)
