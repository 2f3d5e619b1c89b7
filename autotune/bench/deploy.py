"""Files of upwell.onnx.export beside Upwell itself: how large, how far off, how fast in onnxruntime and in OpenVINO.

    python -m autotune.bench.deploy [--budget SECONDS] [--threads COUNT] [--only NAME ...]

x 1,128,32,32 and a guide 1,32,128,128 at ratio 4, the modules of `upwell.nn.make` without options, forward, float32, one process, in
turn; sizes are free, the ratio is not. OpenVINO reads the file without functions, and computes in float32, also where a processor has 16 bits. Prints a
Markdown table.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy
import onnx.inliner
import onnxruntime
import openvino
import torch
from torch import Tensor, nn
from torch.export import Dim

import upwell
import upwell.onnx
from autotune.bench.machine import description, said
from autotune.bench.measure import interleave
from upwell.nn.make import NAMES

CHANNELS, GUIDE, RATIO, LOW = 128, 32, 4, 32


def of_onnxruntime(path: Path, maps: dict[str, numpy.ndarray], threads: int) -> Callable[[], numpy.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {each.name: maps[each.name] for each in session.get_inputs()}
    return lambda: session.run(None, given)[0]


def of_openvino(path: Path, maps: dict[str, numpy.ndarray], threads: int) -> Callable[[], numpy.ndarray]:
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    given = {each.get_any_name(): maps[each.get_any_name()] for each in compiled.inputs}
    request = compiled.create_infer_request()
    return lambda: request.infer(given, share_inputs=True, share_outputs=True)[0]


def of_upwell(module: nn.Module, maps: tuple[Tensor, Tensor]) -> Callable[[], numpy.ndarray]:
    def call() -> numpy.ndarray:
        with torch.no_grad():
            return module(*maps).numpy()

    return call


def row(name: str, folder: Path, threads: int, budget: float) -> str:
    torch.manual_seed(0)
    module = upwell.nn.make(name, CHANNELS, GUIDE, RATIO).eval()
    maps = torch.randn(2, GUIDE, RATIO * LOW, RATIO * LOW), torch.randn(2, CHANNELS, LOW, LOW)
    path, inlined = folder / f"{name}.onnx", folder / f"{name}.inlined.onnx"
    names = ["guide", "x"]
    batch, (h, w) = Dim("batch"), (Dim(name, min=8, max=4096) for name in "hw")
    sizes = {0: batch, 2: RATIO * h, 3: RATIO * w}, {0: batch, 2: h, 3: w}
    dynamic = True if name == "anyup" else sizes  # for AnyUp torch.export does not take a ratio that is given
    upwell.onnx.export(module, maps, path, dynamic=dynamic, input_names=names)
    onnx.save(onnx.inliner.inline_local_functions(onnx.load(path)), inlined)  # as functions=False, without another export
    one = tuple(each[:1].contiguous() for each in maps)
    arrays = {key: each.numpy() for key, each in zip(names, one)}
    calls = {
        "upwell": of_upwell(module, one),
        "onnxruntime": of_onnxruntime(path, arrays, threads),
        "openvino": of_openvino(inlined, arrays, threads),
    }
    expected = calls["upwell"]()
    off = max(numpy.abs(call() - expected).max() for call in calls.values()) / numpy.abs(expected).max()
    ms = {key: timing.median_ms for key, timing in interleave(calls, budget).items()}
    parameters = sum(each.numel() for each in module.state_dict().values()) * 4
    times = " | ".join(f"{ms[key]:.1f}" for key in calls)
    others = [ms[key] / ms["upwell"] for key in ("onnxruntime", "openvino")]
    sizes = f"{parameters / 1024:.0f} | {path.stat().st_size / 1024:.0f}"
    return f"| `{name}` | {sizes} | {off:.0e} | {times} | {others[0]:.1f} | {others[1]:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=4, help="seconds for each row (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = description(threads=arguments.threads)
    print(f"{said(machine)}; torch {machine['torch']}, onnxruntime "
          f"{onnxruntime.__version__}, OpenVINO {openvino.__version__}; commit {machine['commit']}; {machine['date']}\n")  # fmt: skip
    print("| | parameters, KiB | file, KiB | off by | Upwell, ms | onnxruntime, ms | OpenVINO, ms | onnxruntime / Upwell | "
          "OpenVINO / Upwell |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            print(row(name, Path(folder), arguments.threads, arguments.budget), flush=True)


if __name__ == "__main__":
    main()
