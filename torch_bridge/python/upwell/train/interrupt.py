"""Ctrl-C, also where Python drops the exception that it raises: in the middle of deleting an object, or of a callback."""

import signal
import threading

_asked = False


def listen() -> None:
    """From here on Ctrl-C is remembered; elsewhere than in the main thread nothing changes."""
    global _asked
    _asked = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _ask)


def check() -> None:
    """Raises KeyboardInterrupt if there was a Ctrl-C since the last call that did."""
    global _asked
    if _asked:
        _asked = False
        raise KeyboardInterrupt


def _ask(number: int, frame: object) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
