"""Memory that a process keeps between training steps."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of <malloc.h>


def keep_memory() -> bool:
    """Lets this process keep what it frees, for torch's tensors and Upwell's scratch alike, instead of giving it back to
    the system; for training, whose every step takes the same memory. Returns whether that was possible (glibc).

    glibc's malloc gives large blocks back at once, and the system clears every page of the next one: of a training step of
    ReSFU at 1024 x 1024 that is a tenth of the time. The process stays as large as it once was, and grows by what lies
    between blocks, in that step by half. It holds for all of the process, and there is no way back; call it before the
    first step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_MMAP_MAX, 0) == 1 and mallopt(_TRIM_THRESHOLD, -1) == 1
