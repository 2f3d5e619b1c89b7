"""Operators that people describe: compiled, kept and loaded.

    sapa = upwell.build("sapa.cpp", kernels=[5], ratios=[2, 4])
    sapa(value, key, query, 5)
"""

import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import keyword
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from upwell import ops, tuned_table
from upwell.explained import called, explained

_PACKAGE = Path(__file__).parent
GENERATOR = _PACKAGE / "bin" / "upwell.generator"
_INCLUDE = _PACKAGE / "include"
_DIRECTIONS = {"": "Forward", "_d_value": "DValue", "_d_weight": "DWeight"}
_DTYPES = {"float32": "Float32", "float64": "Float64", "float16": "Float16", "bfloat16": "BFloat16"}
DTYPES = tuple(_DTYPES)  # that kernels are compiled for
TARGETS = {
    "avx512": "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41",
    "avx2": "x86-64-linux-avx-avx2-f16c-fma-sse41",
    "baseline": "x86-64-linux",
    "cuda": "x86-64-linux-cuda-cuda_capability_75",
    "opencl": "x86-64-linux-opencl-cl_doubles",
}


class BuildError(RuntimeError):
    """What is wrong with a description, or what a compiler said."""


@dataclass(frozen=True)
class CompiledKernel:
    """One kernel of one window: a row in the registry."""

    window: str
    direction: str  # a suffix
    side: int  # taps
    ratio: int  # 0: any size
    dtype: str
    backend: str  # cpu, or a GPU's
    needs: str  # of a processor
    tuned: tuned_table.Entry | None = None  # None: the schedule made by hand
    number: int = 0  # of its entry

    @property
    def symbol(self) -> str:
        ratio, tuned = self.ratio or "any", f"_tuned_{self.number}" if self.tuned else ""
        return f"upwell_{self.window}{self.direction}_k{self.side}_r{ratio}_{self.dtype}_{self.backend}{tuned}"

    @property
    def place(self) -> tuple:
        """Entry.key of its entries in a tuned table."""
        return self.window, self.direction.removeprefix("_") or "forward", self.side, self.ratio, self.dtype

    @property
    def row(self) -> str:
        backend = {"cpu": "Cpu", "cuda": "Cuda", "opencl": "OpenCl"}[self.backend]
        needs = self.needs.capitalize() if self.backend == "cpu" else "Baseline"
        bucket = "std::nullopt"
        if self.tuned:
            channels, pixels, samples, threads = vars(self.tuned.bucket).values()
            bucket = f"Bucket{{{{{channels[0]}, {pixels[0]}, {samples}}}, {{{channels[1]}, {pixels[1]}}}, {threads}}}"
        return (
            f'{{"{self.window}", Direction::{_DIRECTIONS[self.direction]}, {self.side}, {self.ratio}, '
            f"Dtype::{_DTYPES[self.dtype]}, Backend::{backend}, InstructionSet::{needs}, {bucket}, "
            f'"{self.symbol}", {self.symbol}_argv}}'
        )

    @property
    def generator(self) -> str:
        return f"{self.window}{self.direction}"

    @property
    def target(self) -> str:
        return TARGETS[self.needs if self.backend == "cpu" else self.backend]

    @property
    def features(self) -> list[str]:
        """Beside the target's."""
        # Maps of any size are copied with channels rounded up to whole vectors, which may take more than 2 GiB.
        return ["user_context", *(["large_buffers"] if self.backend == "cpu" and not self.ratio else [])]

    @property
    def parameters(self) -> list[str]:
        knobs = self.tuned.parameters if self.tuned else {}
        own = {"kernel": self.side, "ratio": self.ratio, "type": self.dtype}
        return [f"{name}={value}" for name, value in (own | knobs).items()]

    @property
    def arguments(self) -> list[str]:
        return [
            *("-g", self.generator, "-f", self.symbol, "-n", self.symbol, "-e", "object"),
            f"target={'-'.join([self.target, *self.features, 'no_runtime'])}",
            *self.parameters,
        ]


@dataclass(frozen=True)
class Settings:
    """What build() is told, beside the file."""

    kernels: Sequence[int]
    ratios: Sequence[int]
    dtypes: Sequence[str]
    backends: Sequence[str]
    table: Path | None = None  # of tuned schedules
    is_table_given: bool = False  # else it is the one that is kept

    def __str__(self) -> str:
        """All but the table: where it lies does not matter."""
        return repr([list(option) for option in (self.kernels, self.ratios, self.dtypes, self.backends)])


def build(
    source: str | os.PathLike,
    kernels: Sequence[int] = (),
    ratios: Sequence[int] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    gpu: bool | None = None,
    progress: bool = True,
    tuned: str | os.PathLike | bool | None = None,
) -> Callable | list[Callable]:
    """Compiles the operators of a C++ file (docs/new-operator.md) and loads them: torch.ops.upwell.NAME, with kernels
    for this machine, gradients, Meta and autocast.

    What was compiled is kept in $UPWELL_CACHE, or ~/.cache/upwell, by the content of the file and of what it includes,
    the options, the compilers and the instructions of this processor. An operator cannot be replaced in a running process.

    Args:
        source: the file.
        kernels: taps per side, odd; the description's own where none are given.
        ratios: integer ratios with kernels of their own, which are faster; any size is there in any case.
        dtypes: of maps: float32, float64. A GPU has float16 and bfloat16 too.
        gpu: kernels for CUDA too; None: if torch sees a device.
        progress: show a bar.
        tuned: a table that `upwell tune` wrote, whose schedules calls of the sizes in it take; None: the one that it
            keeps for this file, if there is one; False: none.

    Returns:
        The operator, or a list of them if the file has several. Its attribute `library` is the file that was loaded.

    Raises:
        BuildError: with the message of whatever refused.
    """
    return load(compile_library(source, kernels, ratios, dtypes, gpu, progress, tuned))


def compile_library(
    source: str | os.PathLike,
    kernels: Sequence[int],
    ratios: Sequence[int],
    dtypes: Sequence[str],
    gpu: bool | None,
    progress: bool,
    tuned: str | os.PathLike | bool | None,
) -> Path:
    """build() without loading: the library that was made, or was there."""
    source = _file("build", "source", source)
    _check_options(kernels, ratios, dtypes)
    identity = _identity(source)
    table = _table(source, identity, tuned)
    settings = Settings(kernels, ratios, dtypes, _backends(gpu), table, tuned is not None)
    key = _digest([*identity, str(settings), *([_text_of(table)] if table else [])])
    library = _cache() / f"{source.stem}-{key}" / f"lib{source.stem}.so"
    if not library.exists():
        try:
            _make(source, library, settings, progress)
        except OSError as error:
            raise BuildError(f"build: {_cache()}, which UPWELL_CACHE names, cannot be written to: {error}") from error
    return library


def kept_table(source: Path) -> Path:
    """Where `upwell tune` keeps what it found for the operators of this file, with this compiler on such a processor."""
    return _kept_table(source, _identity(_file("build", "source", source)))


def _kept_table(source: Path, identity: list[str]) -> Path:
    return _cache() / f"{source.stem}-{_digest(identity)}.tuned.json"


def _table(source: Path, identity: list[str], tuned: str | os.PathLike | bool | None) -> Path | None:
    if tuned is None:
        kept = _kept_table(source, identity)
        return kept if _text_of(kept) else None
    if tuned is False:
        return None
    if tuned is True or not _text_of(Path(tuned)):
        raise BuildError(f"build: tuned should be a table that upwell tune wrote, None or False but is {tuned}")
    return Path(tuned)


@cache
def _text_of(table: Path) -> str | None:
    """Of a tuned table when it was first asked for: a process goes on with the library that it has loaded."""
    return table.read_text(errors="replace") if table.is_file() else None


def _make(source: Path, library: Path, settings: Settings, progress: bool) -> None:
    """Makes it elsewhere and moves it when it is whole: another process may look at any time."""
    cache = library.parent.parent
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("building-*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > 86400:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as folder:
        _compile(source, Path(folder) / "new", settings, progress)
        try:
            (Path(folder) / "new").rename(library.parent)
        except OSError:
            if not library.exists():
                raise


def load(library: str | os.PathLike) -> Callable | list[Callable]:
    """Loads a library that build() or the CMake function upwell_add_operators() made; returns its operators as functions
    of torch tensors, which are in upwell.ops from now on too."""
    library = _file("load", "library", library)
    if library in _refused:
        raise BuildError(_refused[library])
    if library not in _loaded:
        _check_library(library)
        before = {operator["name"] for operator in described()}
        try:
            torch.ops.load_library(str(library))
        except OSError as error:
            raise BuildError(f"load: {library} cannot be loaded: {str(error).removeprefix(f'{library}: ')}") from error
        refusals = torch.ops.upwell.refusals()
        added = [operator for operator in described() if operator["name"] not in before]
        if refusals or not added:
            none = f"load: {library} has no operator that was not there before: UPWELL_OPERATOR describes one"
            _refused[library] = "; ".join(refusals) or none
            raise BuildError(_refused[library])
        _loaded[library] = [_function(operator, library) for operator in added]
        for function in _loaded[library]:
            setattr(ops, function.__name__, function)
    functions = _loaded[library]
    return functions[0] if len(functions) == 1 else functions


def _file(function: str, argument: str, given: str | os.PathLike) -> Path:
    """An absolute path to what is a file; BuildError, which names function and argument, if it is none."""
    if not isinstance(given, (str, os.PathLike)):
        raise BuildError(f"{function}: {argument} should be the path of a file but is {called(given)}")
    path = Path(given).resolve()
    if not path.is_file():
        is_what = "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
        raise BuildError(f"{function}: {argument} should be a file but {path} {is_what}")
    return path


def _check_library(library: Path) -> None:
    """Before it is mapped into memory, where what a truncated one lacks would end the process. An ELF file ends in the table of
    its sections, or holds it."""
    with library.open("rb") as file:
        head = file.read(64)
    if head[:5] != b"\x7fELF\x02" or len(head) < 64:
        raise BuildError(f"load: {library} is no shared library; build() and upwell_add_operators() make one")
    sections, size, count = *struct.unpack_from("<Q", head, 40), *struct.unpack_from("<HH", head, 58)
    if library.stat().st_size < sections + size * count:
        raise BuildError(f"load: {library} is not whole: it should have {sections + size * count} bytes or more")


_loaded: dict[Path, list[Callable]] = {}
_refused: dict[Path, str] = {}  # what was loaded once is not loaded again


def described() -> list[dict]:
    """What the descriptions of all operators say."""
    return json.loads(torch.ops.upwell.described())


def function_of(name: str) -> Callable | None:
    """An operator of Upwell's own as a function whose names, types and text are those of its description; None: there is
    none."""
    return next((_function(operator, None) for operator in described() if operator["name"] == name), None)


def _check_options(kernels: Sequence[int], ratios: Sequence[int], dtypes: Sequence[str]) -> None:
    for name, numbers in (("kernels", kernels), ("ratios", ratios)):
        if isinstance(numbers, int) or not all(type(number) is int and number > 0 for number in numbers):
            raise BuildError(f"build: {name} should be a list of positive integers but is {numbers}")
    if isinstance(dtypes, str) or not dtypes or not set(dtypes) <= {"float32", "float64"}:
        raise BuildError(f"build: dtypes should be a list of float32 and float64 but is {dtypes}")


def _backends(gpu: bool | None) -> list[str]:
    if torch.ops.upwell.backend() == "opencl":
        return ["opencl"]
    has_gpu = torch.cuda.is_available() if gpu is None else gpu
    return ["cpu", "cuda"] if has_gpu else ["cpu"]


def _cache() -> Path:
    return Path(os.environ.get("UPWELL_CACHE") or Path.home() / ".cache" / "upwell")


def _identity(source: Path) -> list[str]:
    """All that a kernel of it follows from, but for the options."""
    if source.suffix not in (".cpp", ".cc", ".cxx"):
        raise BuildError(f"build: source should be a file that ends in .cpp, .cc or .cxx but is {source}")
    whole = _run_compiler(["-E", "-P", str(source)])  # with what it includes
    parts = [whole, torch.ops.upwell.instruction_set(), str(_PACKAGE.resolve())]
    parts += [*_compiler(), _run_compiler(["--version"]), _halide_version()]
    return [*parts, hashlib.sha256(GENERATOR.read_bytes()).hexdigest()]


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


# What the compiler writes by the ending of a file's name: its word for it, and its own ending.
_CODE = {".html": ("stmt_html", ".stmt.html"), ".stmt": ("conceptual_stmt", ".conceptual.stmt"), ".s": ("assembly", ".s")}


def write_code(name: str, file: str | Path, kernel: int, ratio: int, dtype: str, target: str) -> None:
    """Writes what becomes of one kernel of a window operator: NAME.html Halide's page of its loops, NAME.stmt the loops,
    NAME.s the assembly.

    name: of the operator or of one of its gradients, "fns_d_value". ratio: 0 for any size. target: an instruction set or a
    GPU. BuildError: what the compiler refuses.
    """
    file = Path(file)
    if file.suffix not in _CODE:
        raise BuildError(f"inspect: code should go to a file named .html, .stmt or .s but goes to {file}")
    if not file.absolute().parent.is_dir():
        raise BuildError(f"inspect: code should go to a folder that exists but goes to {file}")
    kind, ending = _CODE[file.suffix]
    operator = re.sub("_d_(value|weight)$", "", name)
    library = getattr(getattr(ops, operator, None), "library", None)
    features = TARGETS[target] + "-user_context-no_runtime"
    with tempfile.TemporaryDirectory() as folder:
        _run_generator(
            library,
            ["-g", name, "-f", name, "-n", "code", "-e", kind, "-o", folder, f"target={features}"]
            + [f"kernel={kernel}", f"ratio={ratio}", f"type={dtype}"],
        )
        shutil.move(Path(folder) / f"code{ending}", file)


def missing_tools() -> list[str]:
    """What compiling an operator lacks here, in words."""
    missing = []
    if shutil.which(_compiler()[0]) is None:
        missing.append(f"a C++ compiler ({_compiler()[0]}, or what CXX names)")
    if importlib.util.find_spec("halide") is None:
        missing.append("pip install halide==21.0.0")
    if not GENERATOR.exists():
        missing.append("an Upwell that has its own compiler")
    return missing


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def _halide_version() -> str:
    try:
        return importlib.metadata.version("halide")
    except importlib.metadata.PackageNotFoundError:
        raise BuildError("build: compiling kernels takes the package halide: pip install halide==21.0.0") from None


def _compile(source: Path, folder: Path, settings: Settings, progress: bool) -> None:
    folder.mkdir()
    _run_compiler(["-c", str(source), "-o", str(folder / "description.o")])
    described_by = folder / "description.so"
    _run_compiler(["-shared", str(folder / "description.o"), "-o", str(described_by)])
    try:
        operators = describe(described_by, settings.kernels)
    except BuildError as error:
        raise BuildError(str(error).replace(str(described_by), str(source))) from None
    _check_names(operators)
    wanted = compiled_kernels(operators, settings)
    wanted += _tuned_kernels(wanted, settings) if settings.table else []
    from tqdm import tqdm  # importing upwell brings in nothing but torch

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda kernel: _make_kernel(described_by, kernel, folder), wanted)
        bar = tqdm(made, f"upwell: {source.name}", len(wanted), unit="kernel", disable=not progress)
        for _ in bar:
            pass
    (folder / "registration.cpp").write_text(_registration(wanted))
    _run_compiler(["-c", str(folder / "registration.cpp"), "-o", str(folder / "registration.o")])
    runtime = "upwell_runtime_opencl" if settings.backends == ["opencl"] else "upwell_runtime"
    directory = Path(torch.ops.upwell.runtime_path()).parent
    objects = [str(folder / f"{kernel.symbol}.o") for kernel in wanted]
    name = f"lib{source.stem}.so"
    _run_compiler(
        ["-shared", str(folder / "description.o"), str(folder / "registration.o"), *objects]
        + [f"-L{directory}", f"-l{runtime}", f"-Wl,-rpath,{directory}", "-Wl,--no-undefined", "-o", str(folder / name)]
    )
    for file in folder.iterdir():
        if file.name != name:
            file.unlink()


def _make_kernel(description: Path, kernel: CompiledKernel, folder: Path) -> None:
    try:
        _run_generator(description, [*kernel.arguments, "-o", str(folder)])
    except BuildError as error:
        raise BuildError(f"build: tuned: {kernel.tuned}: {error}" if kernel.tuned else str(error)) from None


def describe(description: Path, kernels: Sequence[int]) -> list[dict]:
    """What the descriptions in a library say; BuildError where they do not go with one of these taps per side."""
    return json.loads(_run_generator(description, ["--describe", *map(str, kernels)]))


def _check_names(operators: list[dict]) -> None:
    """Before anything is compiled: what Python and torch could not call."""
    for operator in operators:
        name = operator["name"]
        if hasattr(torch.ops.upwell, name) or hasattr(ops, name):
            raise BuildError(f"{name}: there is an operator, or something else in upwell.ops, of this name already")
        for each in (name, *(argument["name"] for argument in operator["maps"])):
            if keyword.iskeyword(each):
                raise BuildError(f"{name}: {each} is a word of Python, and cannot be the name of an operator or a map")


def compiled_kernels(operators: list[dict], settings: Settings) -> list[CompiledKernel]:
    """All that a library of these operators has, scheduled by hand."""
    needs = torch.ops.upwell.instruction_set()
    list_of = []
    for operator in operators:
        for window in operator["windows"]:
            sides = [window["side"]] if operator["kernel"] is None else settings.kernels or [operator["kernel"]]
            directions = list(_DIRECTIONS)[: 2 if window["normaliser"] == "constant" else 3]
            exact = () if window["border"] == "inside" else settings.ratios  # where taps move inside, cells differ
            for backend in settings.backends:
                stored = [*settings.dtypes, *([] if backend == "cpu" else ["float16", "bfloat16"])]
                list_of += [
                    CompiledKernel(window["name"], direction, side, ratio, dtype, backend, needs)
                    for direction in directions
                    for side in sides
                    for ratio in (0, *exact)
                    for dtype in stored
                ]
    return list(dict.fromkeys(list_of))


def _tuned_kernels(compiled: list[CompiledKernel], settings: Settings) -> list[CompiledKernel]:
    """One more for every entry of the table that is for one of these."""
    by_place = {kernel.place: kernel for kernel in compiled if kernel.backend == "cpu"}
    try:
        table = tuned_table.read(settings.table, f"x86-64-{torch.ops.upwell.instruction_set()}")
    except tuned_table.TableError as error:
        raise BuildError(f"build: tuned: {error}") from None
    entries = [entry for entry in table.entries if entry.key in by_place]
    if settings.is_table_given and not entries:
        raise BuildError(f"build: tuned: {settings.table} has no entry for these operators, kernels, ratios and dtypes")
    return [replace(by_place[entry.key], tuned=entry, number=number) for number, entry in enumerate(entries, 1)]


def _registration(compiled: list[CompiledKernel]) -> str:
    declarations = "\n".join(f'extern "C" int {kernel.symbol}_argv(void **);' for kernel in compiled)
    rows = ",\n    ".join(kernel.row for kernel in compiled)
    return (
        '#include "runtime/row.h"\n\nusing namespace upwell;\n\n'
        f"{declarations}\n\nstatic const bool added = add_rows({{\n    {rows}}});\n"
    )


def _run_compiler(arguments: list[str]) -> str:
    compiler = _compiler()
    if shutil.which(compiler[0]) is None:
        raise BuildError(f"build: a C++ compiler is needed, but there is no {compiler[0]}; CXX names another")
    options = ["-std=c++20", "-O2", "-fPIC", "-Werror=return-type", f"-I{_INCLUDE}"]
    return _run([*compiler, *options, *arguments])


def _run_generator(description: Path | None, arguments: list[str]) -> str:
    spec = importlib.util.find_spec("halide")
    if spec is None or not GENERATOR.exists():
        raise BuildError("build: the compiler is needed: install the package halide, and an Upwell that has its own")
    halide = Path(spec.submodule_search_locations[0]) / "lib64"
    path = os.pathsep.join(filter(None, [str(halide), os.environ.get("LD_LIBRARY_PATH")]))
    environment = dict(os.environ, LD_LIBRARY_PATH=path)
    described = ["--operators", str(description)] if description else []
    return _run([str(GENERATOR), *described, *arguments], environment)


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    if result.returncode != 0:
        ended = f"{Path(command[0]).name} ended with {result.returncode}"
        if result.returncode < 0:
            ended = f"{Path(command[0]).name} was ended by {signal.Signals(-result.returncode).name}"
        raise BuildError((result.stderr or result.stdout).strip() or ended)
    return result.stdout


_OPTIONS = {
    "kernel": "K, taps per side",
    "groups": "G, groups of channels with weights of their own",
    "mask_ratio": "high-res pixels between two taps where it is decided which lie outside, if not H/h and W/w",
    "size": "(H, W)",
    "scale_h": "high-res pixels per low-res pixel, if not H/h",
    "scale_w": "high-res pixels per low-res pixel, if not W/w",
}


def _function(operator: dict, library: Path | None) -> Callable:
    """The operator as a function with names, types and a text."""
    call = getattr(torch.ops.upwell, operator["name"])
    schema = call.default._schema
    kinds = {"Tensor": torch.Tensor, "int": int, "str": str, "Optional[int]": int | None, "Optional[float]": float | None}
    parameters = [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            annotation=kinds.get(str(argument.type), Sequence[int]),
        )
        for argument in schema.arguments
    ]

    # Of a softmax or of products: others the caller gave.
    makes_weights = operator["scores"] or operator["windows"][0]["normaliser"] == "softmax"
    if makes_weights:
        parameters.append(
            inspect.Parameter("return_weights", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)
        )
        with_weights = getattr(torch.ops.upwell, operator["name"] + "_and_weights")

        def function(*arguments, return_weights=False, **options):
            return (with_weights if return_weights else call)(*arguments, **options)

    else:

        def function(*arguments, **options):
            return call(*arguments, **options)

    lines = [
        f"        {each['name']}: [{each['sizes']}]" + (f": {each['doc']}." if each["doc"] else ".")
        for each in operator["maps"]
    ]
    options = _OPTIONS | {"border": " or ".join(f'"{choice}"' for choice in operator["borders"])}
    lines += [f"        {name}: {options[name]}." for name in (each.name for each in schema.arguments) if name in options]
    made = "[N, C, H, W]"
    if makes_weights:
        taps = "K*K" if operator["kernel"] is not None else operator["windows"][0]["taps"]
        lines.append("        return_weights: the weights of taps too, which nothing else keeps.")
        made += f"; with return_weights a pair of it and [N, {'G, ' if operator['groups'] else ''}{taps}, H, W]"
    sizes = "\n".join(lines)
    function.__name__ = function.__qualname__ = operator["name"]
    function.__module__ = "upwell.ops"
    function.library = library
    function.__doc__ = f"{operator['doc']}\n\n    Args:\n{sizes}\n\n    Returns:\n        {made}.\n    "
    result = torch.Tensor | tuple[torch.Tensor, torch.Tensor] if makes_weights else torch.Tensor
    function.__signature__ = inspect.Signature(parameters, return_annotation=result)
    return explained(function)
