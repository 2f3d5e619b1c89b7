"""A private PostgreSQL for tests: in a temporary folder, reached by a Unix socket, gone afterwards."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

PASSWORD = "open sesame"
_START_SECONDS = 60


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a database of its own user, with its password."""
    programs, psycopg = _programs(), pytest.importorskip("psycopg", reason="psycopg is missing")
    # Not tmp_path: the path of a socket may have 107 characters at most, and the server's user has to reach it.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="upwell_postgres_"))
    try:
        _initialize(programs, folder)
        settings = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [*_as_server_user("--pdeathsig", "QUIT"), programs / "postgres", *settings],
                stdout=log, stderr=log, cwd=folder,
            )
        try:
            address = f"upwell:{PASSWORD.replace(' ', '%20')}@/postgres?host={folder}"
            _wait(psycopg, server, f"postgresql://{address}", folder / "log")
            yield f"postgresql://{address}"
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder)


def _programs() -> pathlib.Path:
    """Debian keeps the server's programs off the PATH."""
    on_path = shutil.which("postgres")
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found += [pathlib.Path(on_path).resolve()] if on_path else []
    if not found or not shutil.which("setpriv"):
        pytest.skip("PostgreSQL's server (Debian: postgresql) or setpriv (util-linux) is missing")
    return found[-1].parent


def _as_server_user(*options: str) -> list[str]:
    """The server refuses to run as root."""
    user = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", *user, *options]


def _initialize(programs: pathlib.Path, folder: pathlib.Path) -> None:
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    options = ["--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-locale", "--encoding=UTF8", "--no-sync"]
    command = [*_as_server_user(), programs / "initdb", "-D", folder / "data", "-U", "upwell", *options]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _wait(psycopg, server: subprocess.Popen, address: str, log: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def _stop(server: subprocess.Popen) -> None:
    server.send_signal(2)  # fast shutdown: ends the sessions
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
