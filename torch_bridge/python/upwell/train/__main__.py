"""`python -m upwell.train`, alone or under torchrun; `upwell train` is the same."""

from upwell.train.arguments import parse_arguments
from upwell.train.command import follow
from upwell.train.distributed import Group
from upwell.train.training import train


def main(words: list[str] | None = None) -> None:
    arguments = parse_arguments(words)
    follow(
        "upwell train", "--crop or --batch-size", arguments, lambda: Group(arguments.device, arguments.upsampler), train
    )


if __name__ == "__main__":
    main()
