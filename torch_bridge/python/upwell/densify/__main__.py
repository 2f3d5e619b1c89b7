"""`python -m upwell.densify`, alone or under torchrun; `upwell densify` is the same."""

import sys

from upwell.densify.arguments import parse_arguments
from upwell.densify.dense import BICUBIC, WRC_HEAD
from upwell.densify.densifier import COMMAND
from upwell.densify.training import train
from upwell.train.command import follow
from upwell.train.distributed import Group


def main(words: list[str] | None = None) -> None:
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["evaluate"]:  # it has a command line of its own
        from upwell.densify.evaluate_command import main as evaluate

        evaluate(words[1:])
        return
    arguments = parse_arguments(words)
    upsampler = {BICUBIC: "bilinear", WRC_HEAD: "wrc"}.get(arguments.upsampler, arguments.upsampler)
    follow(COMMAND, "--size, --crops or --batch-size", arguments, lambda: Group(arguments.device, upsampler), train)


if __name__ == "__main__":
    main()
