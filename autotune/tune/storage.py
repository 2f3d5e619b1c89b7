"""Where studies are kept, and what to do with the trials of a tuner that was killed."""

import fcntl
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import optuna
import sqlalchemy.exc
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

_CONNECT_SECONDS = 10
_BUSY_SECONDS = 60  # SQLite: another process is writing
_NAMELESS = timedelta(minutes=1)  # a trial that has no owner by then lost it between its start and its first note
_DATABASE_ERRORS = (
    sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError, ValueError
)
BEGUN = "begun"  # user attribute of a trial: its candidate ran


class StorageError(ValueError):
    """Names the storage, without its password."""


def open_storage(text: str | None, default: Path) -> BaseStorage:
    """A database's address, a file that ends in .journal, or the journal at `default`."""
    if text is None:
        return _journal(default)
    if text.startswith(("postgresql://", "postgresql+psycopg://", "sqlite:///")):
        return _database(text)
    if text.endswith(".journal") and "://" not in text:
        return _journal(Path(text))
    raise StorageError(
        f"--storage should be postgresql://..., sqlite:///FILE or a FILE.journal but is {_without_password(text)}"
    )


def _journal(path: Path) -> JournalStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{path}: cannot be used as a journal: {error}") from None


class _JournalLock:
    """One writer at a time. The system lets go of it when its process dies, where Optuna's own locks make everyone wait
    for half a minute; whoever gets it cuts off the line that a dead writer left unfinished: nobody can read past it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._file = -1

    def acquire(self) -> bool:
        file = os.open(self._journal, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._file = file
        size = os.fstat(file).st_size
        if size > 0 and os.pread(file, 1, size - 1) != b"\n":
            os.ftruncate(file, self._journal.read_bytes().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        os.close(self._file)


def _database(address: str, repeats: int = 3) -> RDBStorage:
    if (password := _PASSWORDS[0].search(address)) and "@" in password["secret"]:
        raise StorageError(f"{_without_password(address)}: an @ that does not end the password is written %40")
    lite = address.startswith("sqlite:")
    connect = {"timeout": _BUSY_SECONDS} if lite else {"connect_timeout": _CONNECT_SECONDS}
    settings = {"pool_pre_ping": True, "connect_args": connect}
    try:
        return RDBStorage(address, engine_kwargs=settings)
    except _DATABASE_ERRORS as error:
        if repeats == 0 or not _is_racing(error):
            raise _cannot_use(address, error) from None
    time.sleep(0.5)
    return _database(address, repeats - 1)


def _is_racing(error: Exception) -> bool:
    """Another process is making the tables at this moment."""
    return any(text in str(error) for text in ("already exists", "duplicate key"))


def _cannot_use(address: str, error: Exception) -> StorageError:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in _passwords(address):
        reason = reason.replace(secret, "***")
    return StorageError(f"{_without_password(address)}: cannot be used as storage: {reason}")


_PASSWORDS = (  # user:password@, up to the last @; ?password=...
    re.compile(r"(?<=://)[^:/?]*:(?P<secret>.*)(?=@)", re.DOTALL),
    re.compile(r"[?&](?:ssl)?password=(?P<secret>[^&]*)"),
)


def _passwords(address: str) -> list[str]:
    found = [match["secret"] for pattern in _PASSWORDS for match in pattern.finditer(address)]
    return [secret for text in found for secret in (text, unquote(text)) if secret]


def _without_password(address: str) -> str:
    for secret in _passwords(address):
        address = address.replace(secret, "***")
    return address


def owner() -> str:
    """This process, as its trials name it: host:pid:start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process still runs; True for one on another host, of which nothing can be known here."""
    host, _, process = owner.partition(":")
    pid, _, started = process.partition(":")
    return host != socket.gethostname() or (pid.isdecimal() and str(_start_time(int(pid))) == started)


def _start_time(pid: int) -> int | None:
    """In ticks since the system's start, which tells a process from a later one with its number; None: it is dead."""
    try:
        # After the name, which may hold anything: state (field 3), ..., start time (field 22).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def conclude(study: optuna.Study, number: int, attributes: Mapping[str, object]) -> bool:
    """Ends a trial as its user attributes say (outcome; ratio), without an answer where they say nothing. False:
    another process was faster."""
    outcome = attributes.get("outcome")
    try:
        if outcome == "ok":
            study.tell(number, attributes["ratio"])
        else:
            study.tell(number, state=TrialState.PRUNED if outcome == "pruned" else TrialState.FAIL)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        return False
    return True


def reclaim(study: optuna.Study, alive: Callable[[str], bool] = is_alive) -> list[FrozenTrial]:
    """Ends the trials that dead processes left running: whoever goes on proposes them again. What was tried at two
    deaths may be what killed the tuner, and is not tried for ever: it counts as a crash, and is returned."""
    trials = study.get_trials(deepcopy=False)
    lost = [trial for trial in trials if trial.state == TrialState.RUNNING and _is_lost(trial, alive)]
    earlier = [trial.params for trial in _suspects(t for t in trials if t.state == TrialState.FAIL)]
    again = [trial.number for trial in _suspects(lost) if trial.params in earlier]
    ended = [trial for trial in lost if conclude(study, trial.number, trial.user_attrs)]
    given_up = [_crashed(trial) for trial in ended if trial.number in again]
    study.add_trials(given_up)
    return given_up


def _is_lost(trial: FrozenTrial, alive: Callable[[str], bool]) -> bool:
    if "owner" in trial.user_attrs:
        return not alive(trial.user_attrs["owner"])
    return trial.datetime_start is not None and datetime.now() - trial.datetime_start > _NAMELESS


def _suspects(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Of the trials that processes left at their deaths: of each process the one that ran; where none did, all that it
    was compiling."""
    left: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if "outcome" not in trial.user_attrs and "parameters" in trial.user_attrs:
            left.setdefault(trial.user_attrs["owner"], []).append(trial)
    return [trial for own in left.values() for trial in [t for t in own if BEGUN in t.user_attrs] or own]


def _crashed(trial: FrozenTrial) -> FrozenTrial:
    detail = "the tuner was killed twice while this was tried"
    return create_trial(
        state=TrialState.FAIL, params=trial.params, distributions=trial.distributions,
        user_attrs={"parameters": trial.user_attrs["parameters"], "outcome": "crash", "detail": detail},
    )
