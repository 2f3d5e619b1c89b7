"""One tuner at a time measures on a machine: two would hear each other."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "\0upwell tune"  # an abstract socket: no file, and the system closes it when its process dies, however
_WAIT = 1.0  # seconds
_BUSY = 0.5  # load for each thread


@contextmanager
def alone(threads: int) -> Iterator[None]:
    """Waits for another tuner on this machine to end; says so, and where something else keeps the machine busy."""
    with socket.socket(socket.AF_UNIX) as place:
        said = False
        while not _take(place):
            if not said:
                print("Another tuner measures on this machine: waiting for it to end.", file=sys.stderr)
            said = True
            time.sleep(_WAIT)
        load = os.getloadavg()[0]
        if load > _BUSY * threads and not said:
            print(f"This machine is busy (load {load:.1f}): what is measured now may mislead.", file=sys.stderr)
        yield


def _take(place: socket.socket) -> bool:
    try:
        place.bind(_NAME)
    except OSError:
        return False
    return True
