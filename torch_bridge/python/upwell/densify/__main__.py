"""`python -m upwell.densify`, alone or under torchrun; `upwell densify` is the same."""

from upwell.densify.arguments import parse_arguments
from upwell.densify.dense import BICUBIC
from upwell.densify.training import train
from upwell.train.command import follow
from upwell.train.distributed import Group


def main(words: list[str] | None = None) -> None:
    arguments = parse_arguments(words)
    upsampler = "bilinear" if arguments.upsampler == BICUBIC else arguments.upsampler
    follow("upwell.densify", "--size, --crops or --batch-size", arguments, lambda: Group(arguments.device, upsampler), train)


if __name__ == "__main__":
    main()
