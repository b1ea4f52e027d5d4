"""Compilation that is kept on disk where there is a place to keep it."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(fastmath: bool | set[str]) -> Callable[[F], F]:
    """Return a decorator that compiles a function, which then runs without the interpreter lock.

    `fastmath` is Numba's: all of it, none, or the names of what may be done to floating-point numbers.

    Numba keeps compiled code beside the source, or in the user's cache folder. Where it can write to neither (a
    read-only installation, a user without a home), each process compiles anew.
    """
    make: Any = njit

    def compile_(function: F) -> F:
        try:
            result: F = make(cache=True, nogil=True, fastmath=fastmath, error_model="numpy")(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            result = make(nogil=True, fastmath=fastmath, error_model="numpy")(function)
        return result

    return compile_
