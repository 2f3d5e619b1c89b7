"""Interrupted runs: killed in the middle of a write, out of disk, Ctrl-C.

The last good checkpoint continues as if nothing had happened; what cannot be continued is named."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from train_shapes import PACKAGES, run, words, write_data
from upwell.train import interrupt, training
from upwell.train.checkpoint import load, load_model, save
from upwell.train.errors import TrainingError

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGES, os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    run(data, out)
    return load(out / "last.pt")


def check_same(state: dict, expected: dict) -> None:
    """The same bits: history, parameters, optimiser."""
    assert state["history"] == expected["history"]
    assert state["model"].keys() == expected["model"].keys()
    for name, value in state["model"].items():
        assert torch.equal(value, expected["model"][name]), name
    for index, moments in state["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, expected["optimizer"]["state"][index][name]), (index, name)


def kill_in_a_write(package: str, command_line: list[str]) -> None:
    """Runs python -m package until its second checkpoint is half written; there the process is killed."""
    script = f"""
        import os, signal
        from {package} import __main__
        writes = []
        def fsync(file):
            path = os.readlink(f"/proc/self/fd/{{file}}")
            writes.append(path)
            if path.endswith(".last.pt.tmp") and writes.count(path) == 2:
                os.ftruncate(file, os.fstat(file).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        os.fsync = fsync
        __main__.main()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), *command_line]
    killed = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def test_a_checkpoint_that_lacks_a_part_is_named(tmp_path, uninterrupted):
    for part in ("model", "arguments"):
        save(tmp_path / "last.pt", {name: value for name, value in uninterrupted.items() if name not in ("format", part)})
        with pytest.raises(TrainingError, match=f"last.pt: does not fit this model: '{part}'"):
            load_model(tmp_path / "last.pt")
    parts = {name: value for name, value in uninterrupted.items() if name != "format"}
    save(tmp_path / "last.pt", parts | {"model": {"another": torch.zeros(1)}})
    with pytest.raises(TrainingError) as caught:
        load_model(tmp_path / "last.pt")
    assert re.fullmatch(".*last.pt: does not fit this model: Error.*Missing key.*", str(caught.value)), "one line"


def test_killed_in_the_middle_of_a_write_the_last_good_checkpoint_continues_to_the_same_end(data, tmp_path, uninterrupted):
    kill_in_a_write("upwell.train", words(data, tmp_path))
    assert (tmp_path / ".last.pt.tmp").exists()
    assert len(load(tmp_path / "last.pt")["history"]) == 1
    run(data, tmp_path, resume="auto")
    check_same(load(tmp_path / "last.pt"), uninterrupted)
    assert len(load(tmp_path / "previous.pt")["history"]) == 1
    assert not (tmp_path / ".last.pt.tmp").exists()
    assert len(json.loads((tmp_path / "metrics.json").read_text())["epochs"]) == 2


def test_a_full_disk_is_told_and_leaves_the_last_good_checkpoint(data, tmp_path, uninterrupted, monkeypatch):
    write = training.write

    def write_the_second_to_a_full_device(state, samples):
        if len(state.history) == 2:
            (tmp_path / ".last.pt.tmp").symlink_to("/dev/full")
        write(state, samples)

    with monkeypatch.context() as patch:
        patch.setattr(training, "write", write_the_second_to_a_full_device)
        with pytest.raises(TrainingError, match="last.pt: cannot be written: No space left on device"):
            run(data, tmp_path)
    assert not (tmp_path / ".last.pt.tmp").is_symlink()
    assert len(load(tmp_path / "last.pt")["history"]) == 1
    run(data, tmp_path, resume="auto")
    check_same(load(tmp_path / "last.pt"), uninterrupted)


def test_without_the_last_checkpoint_the_one_before_it_continues(data, tmp_path, uninterrupted, capsys):
    run(data, tmp_path)
    (tmp_path / "last.pt").unlink()  # as between the two renames of a write
    run(data, tmp_path, resume="auto")
    assert f"resumed {tmp_path / 'previous.pt'} after epoch 1" in capsys.readouterr().out
    check_same(load(tmp_path / "last.pt"), uninterrupted)


def test_control_c_ends_without_a_traceback_and_with_a_whole_checkpoint(data, tmp_path):
    command = [sys.executable, "-m", "upwell.train", *words(data, tmp_path, epochs=1000, workers=1)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "interrupted; --resume auto continues" in errors and "Traceback" not in errors
    assert load(tmp_path / "last.pt")["history"]
    assert not list(tmp_path.glob(".*"))


def test_control_c_is_remembered_where_the_exception_is_dropped():
    before = signal.getsignal(signal.SIGINT)
    try:
        interrupt.listen()
        interrupt.check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_from_the_command_line_an_error_is_one_line_and_an_exit_code(data, tmp_path):
    command = [sys.executable, "-m", "upwell.train", *words(data, tmp_path, images=tmp_path / "nowhere")]
    failed = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr == f"upwell train: {tmp_path / 'nowhere'}: No such file or directory\n"


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run(data, out, epochs=1)
    return out


def test_a_run_that_is_there_is_not_written_over(data, finished):
    before = (finished / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match="last.pt: exists; continue it with --resume auto"):
        run(data, finished)
    assert (finished / "last.pt").read_bytes() == before


def test_a_run_of_its_own_is_not_resumed_into_the_folder_of_another(data, finished, tmp_path):
    other = tmp_path / "other"
    run(data, other)
    before = {file.name: file.read_bytes() for file in other.iterdir()}
    with pytest.raises(TrainingError, match=f"{other}/last.pt: is of another run than {finished}/last.pt"):
        run(data, other, resume=str(finished / "last.pt"))
    assert {file.name: file.read_bytes() for file in other.iterdir()} == before


@pytest.mark.parametrize("option", [{"classes": 4}, {"upsampler": "nearest"}])
def test_a_checkpoint_of_another_model_is_refused(option, data, finished):
    ((name, value),) = option.items()
    with pytest.raises(TrainingError, match=rf"last.pt: was trained with --{name} \w+, not --{name} {value}"):
        run(data, finished, resume="auto", **option)


def test_a_damaged_or_foreign_checkpoint_is_named(data, finished, tmp_path):
    whole = (finished / "last.pt").read_bytes()
    path = tmp_path / "damaged.pt"
    for content, message in (
        (whole[: len(whole) // 2], "not a whole checkpoint"),
        (b"", "not a whole checkpoint"),
    ):
        path.write_bytes(content)
        with pytest.raises(TrainingError, match=f"damaged.pt: {message}"):
            run(data, tmp_path / "out", resume=path)
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="damaged.pt: not a checkpoint of upwell.train"):
        run(data, tmp_path / "out", resume=path)
    with pytest.raises(TrainingError, match="absent.pt: cannot be read: No such file"):
        run(data, tmp_path / "out", resume=tmp_path / "absent.pt")


def test_what_changed_since_the_checkpoint_is_told(data, finished, tmp_path, capsys):
    run(data, tmp_path, epochs=2, lr=1e-3, resume=finished / "last.pt")
    told = capsys.readouterr().out
    assert "--lr was 0.003, is 0.001" in told and "--epochs was 1, is 2" in told and "--out" not in told


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(data, finished, tmp_path):
    with pytest.raises(TrainingError, match="the loss is (nan|inf) in epoch"):
        run(data, tmp_path, lr=1e30)
    assert not (tmp_path / "last.pt").exists()
