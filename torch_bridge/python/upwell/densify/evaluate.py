"""Dense features scored without a GPU farm: held-out consistency, linear probes, stereo correspondence, and what they cost.

Every method sees the same pictures, the same features of the backbone and the same pixels."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import torch
from tabulate import tabulate
from torch import Tensor, nn

from upwell.densify import consistency
from upwell.densify.consistency import square, targets, up
from upwell.densify.correspondence import StereoPair, matched
from upwell.densify.cost import cost
from upwell.densify.dense import make
from upwell.densify.labelled import Labelled
from upwell.densify.probe import PIXELS, probe
from upwell.nn.check import check, check_whole

SIDE = 128  # px, of the small pictures of consistency, or the next multiple that the backbone takes
COST_SIDE = 512  # px, of the picture whose cost is told, the same
BASELINES = ("bilinear", "bicubic")


class Benchmark:
    """What methods are scored on. The backbone's features are found once, when the first method asks for them.

    Args:
        backbone: image [N, 3, H, W] in 0 .. 1 -> [N, C, H/stride, W/stride]; with name and multiple.
        photographs: of consistency, held out from all training: (name, [3, H, W]). None of them: not scored.
        sets: of linear probes: name -> pictures with a truth.
        pair: of correspondence; None: not scored.
        side: of the small pictures of consistency, px.
    """

    def __init__(
        self,
        backbone: nn.Module,
        photographs: Sequence[tuple[str, Tensor]] = (),
        sets: Mapping[str, Sequence[Labelled]] = {},
        pair: StereoPair | None = None,
        side: int | None = None,
        pixels: int = PIXELS,
    ):
        self.backbone = backbone
        self.photographs = [(name, picture[None]) for name, picture in photographs]
        self.sets = sets
        self.pair = pair
        self.side = up(SIDE, backbone.multiple) if side is None else side
        self.pixels = pixels
        self.found: dict[object, tuple[Tensor, ...]] = {}

    def row(self, method: str, dense: nn.Module, seed: int = 0, with_cost: bool = True) -> dict[str, object]:
        """What one method scores; seed is of the pixels that train the probes, and of whatever trained dense."""
        ratio = ratio_of(method, dense)
        training = dense.training
        dense.eval()
        try:
            with torch.no_grad():
                scores = {**self._consistency(method, dense, ratio), **self._probes(dense, seed), **self._pair(dense)}
            costs = self._cost(dense) if with_cost else {}
        finally:
            dense.train(training)
        return {"method": method, "ratio": ratio, "seed": seed, **scores, **costs}

    def _features(self, picture: Tensor) -> Tensor:
        """Of a picture that outlives this object; each is looked at once."""
        key = (id(picture), "features")
        if key not in self.found:
            self.found[key] = (self.backbone(picture),)
        return self.found[key][0]

    def _dense(self, dense: nn.Module, picture: Tensor) -> Tensor:
        """[C, H, W] on the CPU."""
        return dense(picture, self._features(picture))[0].float().cpu()

    def _consistency(self, method: str, dense: nn.Module, ratio: int) -> dict[str, float]:
        for name, picture in self.photographs:
            if (name, ratio) not in self.found:
                self.found[name, ratio] = targets(self.backbone, picture, self.side, ratio)
        try:
            return consistency.score(dense, (self.found[name, ratio] for name, _ in self.photographs))
        except ValueError as error:
            raise ValueError(f"evaluate: {method} at ratio {ratio}: {error}") from error

    def _probes(self, dense: nn.Module, seed: int) -> dict[str, float]:
        scores = {}
        for name, pictures in self.sets.items():
            features = [self._dense(dense, each.picture) for each in pictures]
            found = probe(features, pictures, seed, self.pixels)
            scores |= {f"{name} {score}": value for score, value in found.items()}
        return scores

    def _pair(self, dense: nn.Module) -> dict[str, float]:
        if self.pair is None:
            return {}
        left, right = (self._dense(dense, picture) for picture in (self.pair.left, self.pair.right))
        return {"matched": matched(left, right, self.pair.disparity)}

    def _cost(self, dense: nn.Module) -> dict[str, float | None]:
        """Of a square picture of COST_SIDE px, or of noise where there is no photograph."""
        if "cost" not in self.found:
            side = up(COST_SIDE, self.backbone.multiple)
            noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
            picture = square(self.photographs[0][1], side) if self.photographs else noise
            self.found["cost"] = picture, self.backbone(picture)
        picture, features = self.found["cost"]
        return cost(lambda: dense(picture, features), features.device)


def baselines(channels: int, ratio: int) -> dict[str, nn.Module]:
    """What needs no training."""
    return {name: make(name, channels, ratio) for name in BASELINES}


def ratio_of(method: str, dense: nn.Module) -> int:
    ratio = getattr(dense, "ratio", None)
    check(ratio is not None, f"evaluate: {method} should be a module with a ratio but is {type(dense).__name__}")
    check_whole("evaluate", f"ratio of {method}", ratio, 1)
    return int(ratio)


def evaluate(
    backbone: nn.Module, methods: Mapping[str, nn.Module], seed: int = 0, with_cost: bool = True, **on
) -> list[dict[str, object]]:
    """One row for each method: name -> module with a ratio and forward(image, features). on: of `Benchmark`.

    Keys of a row: method, ratio, seed; cosine and mse; of each set `NAME iou` and `NAME boundary_iou`, or `NAME error`;
    matched; seconds and bytes."""
    benchmark = Benchmark(backbone, **on)
    return [benchmark.row(name, dense, seed, with_cost) for name, dense in methods.items()]


# What the table calls a score, its format, and by how much a number is multiplied first.
SCORES = {
    "cosine": ("cosine", ".4f", 1),
    "mse": ("MSE", ".4f", 1),
    "iou": ("{} IoU, %", ".1f", 100),
    "boundary_iou": ("{} boundary IoU, %", ".1f", 100),
    "error": ("{} error, px", ".2f", 1),
    "matched": ("matched within 2 px, %", ".1f", 100),
    "seconds": ("ms", ".1f", 1000),
    "bytes": ("MiB", ".0f", 2**-20),
}


def table(rows: Sequence[Mapping], format: str = "pipe") -> str:
    """Means over the seeds, with the standard deviation where they differ. The rows come in the order of their ratios;
    a score that a row lacks shows as nothing."""
    groups: dict[tuple[int, str], list[Mapping]] = {}
    for row in sorted(rows, key=lambda row: row["ratio"]):
        groups.setdefault((row["ratio"], row["method"]), []).append(row)
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in ("method", "ratio", "seed")))
    lines = [[ratio, method, *(_cell(found, key) for key in columns)] for (ratio, method), found in groups.items()]
    alignment = ["right", "left", *["right"] * len(columns)]
    return tabulate(lines, ["ratio", "method", *map(_title, columns)], format, disable_numparse=True, colalign=alignment)


def _score(key: str) -> tuple[str, tuple[str, str, float]]:
    name, _, score = key.rpartition(" ")
    return name, SCORES[score]


def _title(key: str) -> str:
    name, (title, _, _) = _score(key)
    return title.format(name)


def _cell(rows: Sequence[Mapping], key: str) -> str:
    _, (_, form, times) = _score(key)
    values = [times * row[key] for row in rows if row.get(key) is not None]
    if not values:
        return ""
    spread = f" ± {stdev(values):{form}}" if max(values) > min(values) and key not in ("seconds", "bytes") else ""
    return f"{fmean(values):{form}}{spread}"
