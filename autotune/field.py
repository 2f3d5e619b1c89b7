"""The upsamplers of other papers beside their published forms in torch, one process, in turn.

    python autotune/field.py [--budget SECONDS] [--only NAME ...] [--compile]

x 2,128,32,32 and a guide of 32 channels (sapa, fade and dysample at ratio 4, indexnet at 2); cross_attention: 9 x 9 cells,
4 heads of 64 channels, a value of 384. Prints a Markdown table.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import upwell
from machine import description
from measure import interleave

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from reference import upsamplers  # noqa: E402
from reference.cross_attention import seen  # noqa: E402

KERNEL, HEADS, DEPTH, CHANNELS = 9, 4, 64, 384


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
    "cross_attention 32 to 256": lambda: attention_pair(256),
}


def step(call: Callable, maps: list[Tensor], d_output: Tensor) -> None:
    torch.autograd.grad(call(*maps), maps, d_output)


def without_gradients(call: Callable, maps: list[Tensor]) -> Tensor:
    with torch.no_grad():
        return call(*maps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=8, help="seconds for each row (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--compile", action="store_true", help="beside torch.compile of the published form too")
    arguments = parser.parse_args()
    machine = description(torch.get_num_threads())
    print(f"{machine['cpu']}, {machine['cpu_capability']}, threads: {machine['threads']}; torch {machine['torch']}; "
          f"commit {machine['commit']}; {machine['date']}\n")  # fmt: skip
    print("| | mode | Upwell, ms | torch, ms | torch / Upwell |" + (" compiled, ms | compiled / Upwell |" if arguments.compile else ""))
    print("|---|---|---|---|---|" + ("---|---|" if arguments.compile else ""))
    for name in arguments.only:
        own, published, maps = PAIRS[name]()
        calls = {"upwell": own, "torch": published}
        if arguments.compile:
            calls["compiled"] = torch.compile(published)
        d_output = torch.randn_like(without_gradients(own, maps))
        apart = (without_gradients(own, maps) - without_gradients(published, maps)).abs().max().item()
        assert math.isfinite(apart) and apart < 1e-3, f"{name}: the published form differs by {apart}"
        for mode, work in (("forward", without_gradients), ("forward and backward", lambda c, m: step(c, m, d_output))):
            for call in calls.values():
                work(call, maps)
            timed = interleave({key: lambda c=call: work(c, maps) for key, call in calls.items()}, arguments.budget)
            ms = {key: timing.median_ms for key, timing in timed.items()}
            others = [f"{ms[key]:.1f} | {ms[key] / ms['upwell']:.1f}" for key in calls if key != "upwell"]
            print(f"| {name} | {mode} | {ms['upwell']:.1f} | {' | '.join(others)} |", flush=True)


if __name__ == "__main__":
    main()
