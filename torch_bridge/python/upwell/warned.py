"""Warnings of operators as Python's: torch 2.11 writes those of operators that Python calls to stderr."""

import atexit
import ctypes
import os
import sys
import warnings
from pathlib import Path

import torch

_INNER = tuple(str(Path(module).parent) + os.sep for module in (torch.__file__, __file__))


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)
def _warn(message: bytes) -> int:
    """Warns at the line that called torch or Upwell; 1 if that is an error, which the operator then raises."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INNER):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message.decode(), stacklevel=level)
    except Warning:
        return 1
    return 0


def warn_in_python(library: Path) -> None:
    """Has the operators of a loaded library warn here, until the process ends."""
    operators = ctypes.CDLL(str(library))
    operators.upwell_warn_in_python(_warn)
    atexit.register(operators.upwell_warn_in_python, None)
