#!/usr/bin/env bash
# Optuna 5.0.0: a TPESampler with a seed that is made anew for a study that exists begins its random numbers again, so
# that a search that is resumed proposes the points of its first trials once more, and other points than a search
# that ran through. Its documentation says that the state of a sampler is not stored, and advises to pickle it; a
# process that was killed has nothing to pickle. Upwell derives each proposal's seed from the search's seed and the
# trial's place instead (autotune/tune/proposals.py). Seen, in all three searches with seed 1:
#   trials 6 to 11 of a search resumed after 6 equal its trials 0 to 5: True
#   trials 6 to 11 of a search resumed after 6 equal those of one that ran through: False
#   trials 6 to 11 of one whose sampler was kept equal those of one that ran through: True
# Ends with 1 where that has changed. Needs python3 with venv and a network for pip.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pickle
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
folder = sys.argv[1]


def objective(trial):
    return sum((trial.suggest_int(name, 0, 99) - 42) ** 2 for name in ("x", "y", "z"))


def study(name, sampler):
    storage = f"sqlite:///{folder}/{name}.db"
    return optuna.create_study(storage=storage, study_name=name, sampler=sampler, load_if_exists=True)


def sampler():
    return optuna.samplers.TPESampler(seed=1, n_startup_trials=20)


def points(name):
    return [tuple(trial.params.values()) for trial in study(name, None).trials]


study("whole", sampler()).optimize(objective, n_trials=12)
for _ in range(2):  # as two processes would
    study("resumed", sampler()).optimize(objective, n_trials=6)
kept = sampler()
study("kept", kept).optimize(objective, n_trials=6)
study("kept", pickle.loads(pickle.dumps(kept))).optimize(objective, n_trials=6)

whole, resumed = points("whole"), points("resumed")
told = "trials 6 to 11 of"
seen = {
    f"{told} a search resumed after 6 equal its trials 0 to 5": resumed[6:] == resumed[:6],
    f"{told} a search resumed after 6 equal those of one that ran through": resumed[6:] == whole[6:],
    f"{told} one whose sampler was kept equal those of one that ran through": points("kept")[6:] == whole[6:],
}
for what, holds in seen.items():
    print(f"{what}: {holds}")
sys.exit(list(seen.values()) != [True, False, True])
PYTHON
