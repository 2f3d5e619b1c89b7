"""The upsamplers of other papers beside their published forms in torch, one process, in turn.

    python -m autotune.bench.field [--budget SECONDS] [--only NAME ...] [--eager]

x 2,128,32,32 and a guide of 32 channels (sapa, fade, dysample, the joint bilateral upsampler and the local attender at ratio 4,
indexnet at 2); cross_attention: 9 x 9 cells, 4 heads of 64 channels, a value of 384. Eager and torch.compile (its default mode,
for these very sizes). Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import upwell
from autotune.bench.machine import description, said
from autotune.bench.measure import interleave
from reference import upsamplers
from reference.cross_attention import seen

KERNEL, HEADS, DEPTH, CHANNELS = 9, 4, 64, 384
QUIET = 15  # seconds until the processes that compile leave the machine alone


def module_pair(name: str, published: Callable, ratio: int, channels: int = 128) -> tuple[Callable, Callable, list[Tensor]]:
    """Upwell's module and its published form with the same parameters, and the maps that both take."""
    torch.manual_seed(1)
    guided = name != "dysample"
    module = upwell.nn.make(name, channels, 32 if guided else channels, ratio)
    module = module if guided else module.upsampler
    x = torch.randn(2, channels, 32, 32, requires_grad=True)
    guide = torch.randn(2, 32, 32 * ratio, 32 * ratio, requires_grad=True)
    maps = [guide, x] if guided else [x]
    return module, lambda *given: published(module, *given), maps


def jbu_pair() -> tuple[Callable, Callable, list[Tensor]]:
    torch.manual_seed(1)
    module = upwell.nn.JBULearnedRange(32, 128, 32).eval()
    maps = [torch.randn(2, channels, size, size, requires_grad=True) for channels, size in ((128, 32), (32, 128))]
    return module, lambda *given: upsamplers.jbu(module, *given), maps


def attention_in_chunks(query: Tensor, key: Tensor, value: Tensor, rows: int = 16) -> Tensor:
    """As AnyUp publishes it: a mask of all pixels and all cells, some rows of pixels at a time."""
    H, W, h, w = *query.shape[2:], *key.shape[2:]
    row_mask, column_mask = (seen("shifted", m, n, KERNEL, 0) for m, n in ((H, h), (W, w)))
    q, k, v = (x.unflatten(1, (HEADS, -1)).flatten(3) for x in (query, key, value))
    parts = []
    for y in range(0, H, rows):
        mask = row_mask[y : y + rows, None, :, None] & column_mask[None, :, None, :]
        part = q[..., y * W : (y + rows) * W].mT
        parts.append(F.scaled_dot_product_attention(part, k.mT, v.mT, attn_mask=mask.reshape(-1, h * w)))
    return torch.cat(parts, 2).mT.flatten(1, 2).unflatten(2, (H, W))


def attention_pair(high: int) -> tuple[Callable, Callable, list[Tensor]]:
    torch.manual_seed(1)
    shapes = (1, HEADS * DEPTH, high, high), (1, HEADS * DEPTH, 32, 32), (1, CHANNELS, 32, 32)
    maps = [torch.randn(shape, requires_grad=True) for shape in shapes]
    return lambda *given: upwell.ops.cross_attention(*given, HEADS, "shifted", KERNEL), attention_in_chunks, maps


PAIRS = {
    "sapa x4": lambda: module_pair("sapa", upsamplers.sapa, 4),
    "fade x4": lambda: module_pair("fade", upsamplers.fade, 4),
    "dysample x4": lambda: module_pair("dysample", upsamplers.dysample, 4),
    "indexnet x2": lambda: module_pair("indexnet", upsamplers.index_net, 2),
    "jbu x4": jbu_pair,
    "local_attender x4": lambda: module_pair("local_attender", upsamplers.local_attender, 4),
    "cross_attention 32 to 256": lambda: attention_pair(256),
}


def step(call: Callable, maps: list[Tensor], d_output: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(call(*maps), maps, d_output))


def without_gradients(call: Callable, maps: list[Tensor], d_output: Tensor | None = None) -> list[Tensor]:
    with torch.no_grad():
        return [call(*maps)]


def apart(found: list[Tensor], expected: list[Tensor]) -> float:
    """The worst difference, of the largest value of its tensor."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, expected, strict=True))


def warmed_up(calls: dict[str, Callable], work: Callable[[Callable], list[Tensor]]) -> dict[str, Callable]:
    """Those of the calls that give what eager gives, having been called."""
    expected = work(calls["eager"])
    differences = {name: apart(work(call), expected) for name, call in calls.items()}
    wrong = {name for name, difference in differences.items() if not difference < 1e-3}
    assert "upwell" not in wrong, f"the published form differs by {differences['upwell']}"
    if "compile" in calls:
        time.sleep(QUIET)
    return {name: call for name, call in calls.items() if name not in wrong}


def row(name: str, mode: str, ms: dict[str, float]) -> str:
    """Times, and how many times Upwell's the others and the best of them are."""
    others = [f"{ms[key]:.1f} | {ms[key] / ms['upwell']:.1f}" if key in ms else " | " for key in ("eager", "compile")]
    best = min(ms[key] for key in ms if key != "upwell") / ms["upwell"]
    return f"| {name} | {mode} | {ms['upwell']:.1f} | {' | '.join(others)} | {best:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=8, help="seconds for each row (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--eager", action="store_true", help="not beside torch.compile")
    arguments = parser.parse_args()
    machine = description()
    print(f"{said(machine)}; torch {machine['torch']}; commit {machine['commit']}; {machine['date']}\n")
    print("| | mode | Upwell, ms | eager, ms | eager / Upwell | compiled, ms | compiled / Upwell | best / Upwell |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.only:
        own, published, maps = PAIRS[name]()
        calls = {"upwell": own, "eager": published}
        if not arguments.eager:
            calls["compile"] = torch.compile(published, dynamic=False)
        d_output = torch.randn_like(without_gradients(own, maps)[0])
        for mode, work in (("forward", without_gradients), ("forward and backward", step)):
            good = warmed_up(calls, lambda call: work(call, maps, d_output))
            timed = interleave({key: lambda c=call: work(c, maps, d_output) for key, call in good.items()}, arguments.budget)
            print(row(name, mode, {key: timing.median_ms for key, timing in timed.items()}), flush=True)


if __name__ == "__main__":
    main()
