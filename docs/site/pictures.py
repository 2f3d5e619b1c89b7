"""What a pixel of an operator's output reads, as pictures: found by asking the operator itself for a gradient."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from upwell import ops  # noqa: E402
from upwell.inspect.reassembly import operators  # noqa: E402
from upwell.nn.make import UPSAMPLERS  # noqa: E402

LOW, RATIO = (7, 9), 4
HIGH = tuple(length * RATIO for length in LOW)
PIXELS = {"a pixel inside the map": (13, 18), "a pixel at the corner": (1, 1)}
BLUE, ORANGE, GREY = "#3f51b5", "#e65100", "#9e9e9e"
NAMED_SCALE = {"font.size": 9, "svg.fonttype": "path", "svg.hashsalt": "upwell"}

Call = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One row of pictures: what is drawn, and the call that makes [1, 1, H, W] of a map [1, 1, *size]."""

    title: str
    call: Call
    size: tuple[int, int] = LOW
    high: tuple[int, int] = HIGH
    taps: Callable[[tuple[int, int]], list[tuple[float, float]]] | None = None  # of a pixel, in cells


def _even(taps: int, size: tuple[int, int] = HIGH) -> Tensor:
    return torch.zeros(1, taps, *size, dtype=torch.float64)


def _described(name: str) -> list[Case]:
    """Of an operator of taps, one for each border."""
    operator = operators()[name]
    kernel = min(operator["kernel"] or 1, 5)
    cases = []
    for window, border in zip(operator["windows"], operator["borders"] or [None]):
        has_weights = len(operator["maps"]) > 1
        options = {"kernel": kernel, **({"border": border} if border else {})} if has_weights else {"size": HIGH}
        # Weights as given are all 1/taps here, and logits all 0, which is the same.
        weights = _even(kernel**2) + (1 / kernel**2 if window["normaliser"] == "none" else 0)

        def call(value: Tensor, options=options, weights=weights, has_weights=has_weights) -> Tensor:
            return getattr(ops, name)(value, *([weights] if has_weights else []), **options)

        title = f"K = {kernel}" if has_weights else ""
        title += f'{", " if title else ""}border="{border}"' if border else ""
        cases.append(Case(title, call, taps=_taps_of(window, kernel if has_weights else 1)))
    return cases


def _taps_of(window: dict, kernel: int) -> Callable[[tuple[int, int]], list[tuple[float, float]]]:
    def taps(pixel: tuple[int, int]) -> list[tuple[float, float]]:
        if window["between_cells"]:
            at = [(p + 0.5) / RATIO - 0.5 for p in pixel]
        else:
            at = [p // RATIO for p in pixel]
        reach = range(-(kernel // 2), kernel // 2 + 1)
        return [(at[0] + i, at[1] + j) for i in reach for j in reach]

    return taps


def _attention(window: str, **options) -> Case:
    query = torch.zeros(1, 1, *HIGH, dtype=torch.float64)
    name = f'window="{window}"' + "".join(f", {key}={value}" for key, value in options.items())
    call = lambda value: ops.cross_attention(query, 0 * value.detach(), value, 1, window, **options)  # noqa: E731
    return Case(name, call)


def _offsets(value: Tensor) -> Tensor:
    """Every pixel looks 1.3 cells to the right of its cell and 0.6 down."""
    offsets = torch.tensor([1.3, 0.6], dtype=torch.float64).reshape(1, 2, 1, 1).expand(1, 2, *HIGH)
    return ops.sample_at_offsets(value, offsets, RATIO, 1, True)


def _sapa(border: str) -> Case:
    query, key = torch.zeros(1, 1, *HIGH, dtype=torch.float64), torch.zeros(1, 1, *LOW, dtype=torch.float64)
    call = lambda value: ops.sapa_attention(value, query, key, 5, border)  # noqa: E731
    return Case(f'K = 5, border="{border}"', call)


def cases(name: str) -> list[Case]:
    """Of an operator; none where no pixel reads cells around it."""
    if name in operators():
        return _described(name)
    ramp = torch.linspace(0, 1, HIGH[0] * HIGH[1], dtype=torch.float64).reshape(1, 1, *HIGH)
    fine = (HIGH[0] // 2, HIGH[1] // 2)
    ones = lambda *size: torch.ones(size, dtype=torch.float64)  # noqa: E731
    return {
        "sapa_attention": [_sapa("zero"), _sapa("mask")],
        "cross_attention": [
            _attention("shifted", kernel=3),
            _attention("masked", kernel=3),
            _attention("ratio", ratio=0.15),
            _attention("whole"),
        ],
        "local_attention": [
            Case(f"{taps} cells", lambda value, taps=taps: ops.local_attention(value, _even(taps)))
            for taps in (5, 9, 13, 17, 25)
        ],
        "adaptive_conv": [
            Case(
                "K = 7, a high-res map",
                lambda value: ops.adaptive_conv(value, _even(49, fine) + 1 / 49, 7),
                fine,
                fine,
            )
        ],
        "sample_at_offsets": [Case("an offset of 1.3 cells along x and 0.6 along y", _offsets)],
        "index_unpool": [Case("an index of 1", lambda value: ops.index_unpool(value, ones(1, 1, *HIGH)))],
        "transposed_conv": [
            Case(
                "a kernel of 11 x 11 ones, stride 4",
                lambda value: ops.transposed_conv(value, ones(1, 1, 11, 11), None, 4, 5, 3),
            )
        ],
        "guided_filter": [
            Case("radius 8, the guide a ramp", lambda value: ops.guided_filter(ramp, value, 8)),
        ],
        "colour_guided_filter": [
            Case(
                "radius 8, the guide a ramp",
                lambda value: ops.colour_guided_filter(ramp.expand(1, 3, *HIGH) + 0, value, 8),
            ),
        ],
        "pcdc": [
            Case(
                "K = 3, dilation 4, of the key (a high-res map)",
                lambda key: ops.pcdc(key, 0 * key.detach(), ones(1, 1, 3, 3), None, 1, (4, 4)),
                fine,
                fine,
            )
        ],
    }.get(name, [])


def reads(case: Case, pixel: tuple[int, int]) -> Tensor:
    """The gradient of a pixel with respect to the map: how much of each cell is in it."""
    value = torch.linspace(0.9, 1.1, case.size[0] * case.size[1], dtype=torch.float64).reshape(1, 1, *case.size)
    value.requires_grad_()
    (gradient,) = torch.autograd.grad(case.call(value)[0, 0, *pixel], value)
    return gradient[0, 0]


def of_operator(name: str) -> bytes | None:
    """An SVG."""
    return _drawn(cases(name))


def of_upsampler(name: str, channels: int = 8, guide_channels: int = 8) -> bytes:
    """An SVG of what a pixel depends on as the module is made, weights included: the largest gradient of any of its
    channels by any of the cell's."""
    torch.manual_seed(0)
    module = UPSAMPLERS[name].build(channels, guide_channels, RATIO).double().eval()
    guide = torch.randn(1, guide_channels, *HIGH, dtype=torch.float64)
    x = torch.randn(1, channels, *LOW, dtype=torch.float64, requires_grad=True)
    output = module(guide, x)
    found = {}
    for title, pixel in PIXELS.items():
        gradients = [torch.autograd.grad(each, x, retain_graph=True)[0][0] for each in output[0, :, *pixel]]
        found[title] = torch.stack(gradients).abs().amax((0, 1))
    with plt.rc_context(NAMED_SCALE):
        figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
        for axis, (title, pixel) in zip(axes, PIXELS.items()):
            _grid(axis, found[title], HIGH, pixel, numbers=False)
            axis.set_title(title)
        figure.suptitle(f"{UPSAMPLERS[name].title}: which cells of x a pixel depends on", fontsize=10)
        return _svg(figure)


def _drawn(rows: list[Case]) -> bytes | None:
    if not rows:
        return None
    with plt.rc_context(NAMED_SCALE):
        height = 3.2 if rows[0].size == LOW else 3.6
        figure, axes = plt.subplots(
            len(rows), 2, figsize=(8.4, height * len(rows)), layout="constrained", squeeze=False
        )
        for pair, case in zip(axes, rows):
            for axis, (title, pixel) in zip(pair, PIXELS.items()):
                at = tuple(p * size // high for p, size, high in zip(pixel, case.high, HIGH))
                _grid(axis, reads(case, at), case.high, at, numbers=case.size == LOW, taps=case.taps)
                axis.set_title("\n".join(filter(None, (case.title, title))), fontsize=9)
        return _svg(figure)


def _grid(
    axis: plt.Axes,
    found: Tensor,
    high: tuple[int, int],
    pixel: tuple[int, int],
    numbers: bool,
    taps: Callable | None = None,
) -> None:
    """The cells, as dark as what the pixel has of them, the pixel itself, and its taps."""
    rows, columns = found.shape
    most = found.abs().max().clamp(min=1e-30)
    edges = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axis.imshow((found.abs() / most).numpy(), cmap="Blues", vmin=0, vmax=1.6, extent=edges)
    for edge in range(columns + 1):
        axis.axvline(edge - 0.5, color=GREY, linewidth=0.4)
    for edge in range(rows + 1):
        axis.axhline(edge - 0.5, color=GREY, linewidth=0.4)
    if numbers:
        for i in range(rows):
            for j in range(columns):
                if abs(found[i, j]) >= 0.005:
                    text = f"{found[i, j]:.2f}".replace("0.", ".", 1)
                    axis.text(j, i + 0.28, text, ha="center", va="center", fontsize=6, color="black")
    places = taps(pixel) if taps else []
    if places:
        down, across = zip(*places)
        axis.scatter(across, down, s=16, facecolor="none", edgecolor=BLUE, label="taps")
    y, x = ((p + 0.5) * low / length - 0.5 for p, low, length in zip(pixel, (rows, columns), high))
    axis.scatter([x], [y], s=34, marker="x", color=ORANGE, label="the pixel", zorder=3)
    outside = min([-0.6, *(min(place) - 0.4 for place in places)])
    axis.set_xlim(outside, columns - 0.4)
    axis.set_ylim(rows - 0.4, outside)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    axis.legend(loc="upper right", fontsize=7, framealpha=0.9)


def _svg(figure: plt.Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    plt.close(figure)
    return written.getvalue()
