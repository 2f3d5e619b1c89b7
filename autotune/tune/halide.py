"""Halide's C structures, for calling compiled kernels from Python (HalideRuntime.h)."""

import ctypes
from dataclasses import dataclass

import numpy as np

_INT, _UINT, _FLOAT, _HANDLE = range(4)  # halide_type_code_t
_NUMPY = {
    (_INT, 32): np.dtype(np.int32),
    (_UINT, 16): np.dtype(np.uint16),
    (_FLOAT, 32): np.dtype(np.float32),
    (_FLOAT, 64): np.dtype(np.float64),
}
_HOST_DIRTY = 1


class Type(ctypes.Structure):
    """halide_type_t"""

    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]

    def numpy(self) -> np.dtype:
        return _NUMPY[self.code, self.bits]


class Dimension(ctypes.Structure):
    """halide_dimension_t"""

    _fields_ = [(name, ctypes.c_int32) for name in ("min", "extent", "stride", "flags")]


class Buffer(ctypes.Structure):
    """halide_buffer_t"""

    _fields_ = [
        ("device", ctypes.c_uint64),
        ("device_interface", ctypes.c_void_p),
        ("host", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("type", Type),
        ("dimensions", ctypes.c_int32),
        ("dim", ctypes.POINTER(Dimension)),
        ("padding", ctypes.c_void_p),
    ]


class _MetadataArgument(ctypes.Structure):
    """halide_filter_argument_t"""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("type", Type),
        *((name, ctypes.c_void_p) for name in ("default", "min", "max", "estimate", "buffer_estimates")),
    ]


class _Metadata(ctypes.Structure):
    """halide_filter_metadata_t"""

    _fields_ = [
        ("version", ctypes.c_int32),
        ("num_arguments", ctypes.c_int32),
        ("arguments", ctypes.POINTER(_MetadataArgument)),
        ("target", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
    ]


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel, in order."""

    name: str
    kind: str  # "context", "scalar", "input" or "output"
    dtype: np.dtype | None  # None: the context
    dimensions: int


def arguments_of(library: ctypes.CDLL, symbol: str) -> list[Argument]:
    """What a compiled kernel tells about its arguments."""
    function = getattr(library, f"{symbol}_metadata")
    function.restype = ctypes.POINTER(_Metadata)
    metadata = function().contents
    result = []
    for k in range(metadata.num_arguments):
        argument = metadata.arguments[k]
        if argument.type.code == _HANDLE:
            result.append(Argument(argument.name.decode(), "context", None, 0))
            continue
        kind = ("scalar", "input", "output")[argument.kind]
        result.append(Argument(argument.name.decode(), kind, argument.type.numpy(), argument.dimensions))
    return result


def make_buffer(data: np.ndarray, dims: list[tuple[int, int, int]], is_input: bool) -> Buffer:
    """A buffer over `data`: (min, extent, stride in elements) of each dimension, innermost first.

    data holds the elements from the least address on; strides are not negative. A device is given inputs alone.
    """
    code = {"i": _INT, "u": _UINT, "f": _FLOAT}[data.dtype.kind]
    dimensions = (Dimension * max(1, len(dims)))(*(Dimension(*d, 0) for d in dims))
    buffer = Buffer(
        host=data.ctypes.data,
        flags=_HOST_DIRTY if is_input else 0,
        type=Type(code, data.dtype.itemsize * 8, 1),
        dimensions=len(dims),
        dim=dimensions,
    )
    buffer.keep = (data, dimensions)
    return buffer
