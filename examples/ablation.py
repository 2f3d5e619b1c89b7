"""The paper's ablation in miniature: ReSFU, its variants and the other upsamplers on the disparity task of
examples/disparity.py, every one with the same steps, crops and seeds. What is finished is kept: after Ctrl-C
the same command continues. `python examples/ablation.py --help` lists the options."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ablation_study import picture, runs, tables
from ablation_study.results import Results
from disparity_demo.training import CROP


def parse_arguments(given: list[str] | None) -> argparse.Namespace:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    option = parser.add_argument
    option("--steps", type=int, default=200, help="training steps of every run")
    option("--crop", type=int, default=CROP, help="px per side of the crops trained on, about")
    option("--ratios", type=int, nargs="+", default=[4, 8, 16], help="high-res pixels per low-res pixel")
    option("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of initial values and crops")
    option("--methods", nargs="+", choices=runs.METHODS, default=list(runs.METHODS), help="the rows")
    option("--jobs", type=int, default=runs.available_cores(), help="runs at a time, one thread each")
    option("--out", type=Path, default=Path("build/ablation"), help="folder for results and pictures")
    option("--fresh", action="store_true", help="forget the results that the folder has")
    arguments = parser.parse_args(given)
    for name in ("steps", "crop", "jobs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} should be at least 1 but is {getattr(arguments, name)}")
    for ratio in arguments.ratios:
        if not 2 <= ratio <= 32:
            parser.error(f"--ratios should be 2 to 32 but has {ratio}")
    for name in ("ratios", "seeds", "methods"):  # each once
        setattr(arguments, name, list(dict.fromkeys(getattr(arguments, name))))
    return arguments


def execute(planned: list[runs.Run], results: Results, jobs: int) -> None:
    """What the results do not have yet."""
    missing = [run for run in planned if not results.has(run)]
    if len(missing) < len(planned):
        tqdm.write(f"{len(planned) - len(missing)} of {len(planned)} runs are in {results.path} already")
    if missing:
        for run, outcome in runs.execute_all(missing, results.maps, jobs):
            results.add(run, outcome)


def report(planned: list[runs.Run], results: Results, folder: Path) -> None:
    study = tables.Study({run: results.outcomes[run] for run in planned})
    table = folder / "table.md"
    table.write_text(tables.write_up(study, "github"))
    files = [results.path, table, picture.show_errors(study, folder / "errors.png")]
    if {tables.FULL, tables.COARSE} <= set(study.methods):
        files.append(picture.show_mosaic(planned, results, folder / "mosaic.png"))
    print(f"\n{tables.write_up(study, 'simple')}")
    print("\n".join(str(path.resolve()) for path in files))


def main(given: list[str] | None = None) -> None:
    arguments = parse_arguments(given)
    planned = runs.plan(arguments.methods, arguments.ratios, arguments.seeds, arguments.steps, arguments.crop)
    try:
        results = Results(arguments.out, arguments.fresh)
        execute(planned, results, arguments.jobs)
    except ValueError as error:
        sys.exit(f"ablation: {error}")
    except KeyboardInterrupt:
        sys.exit("\nablation: stopped; finished runs are kept, and the same command continues")
    report(planned, results, arguments.out)


if __name__ == "__main__":
    main()
