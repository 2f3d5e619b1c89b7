"""Makes autotune/ (tune.*) and tests/ (support.*) importable."""

import pathlib
import sys

import optuna

_TESTS = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(_TESTS.parent / "autotune"), str(_TESTS)]

from support.postgres import postgres  # noqa: E402, F401

optuna.logging.set_verbosity(optuna.logging.WARNING)
