"""Arguments that had another name: calls by the old one keep working for a version, with a warning."""

import functools
import warnings
from collections.abc import Callable


def renamed(**names: str) -> Callable[[Callable], Callable]:
    """Of a function: old name = the one that it has now. A call with both raises TypeError, as one that names it twice."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*arguments, **options):
            for old, new in names.items():
                if old in options and new not in options:
                    warnings.warn(f"{function.__name__}: {old} is called {new} now", DeprecationWarning, stacklevel=2)
                    options[new] = options.pop(old)
            return function(*arguments, **options)

        call.renamed = names
        return call

    return decorate
