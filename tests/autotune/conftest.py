"""What the tests share: a database server, and an optuna that says little."""

import optuna
from postgres import postgres  # noqa: F401

optuna.logging.set_verbosity(optuna.logging.WARNING)
