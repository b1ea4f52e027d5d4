"""Compilation that is kept on disk where there is a place to keep it."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from recsys.kernels import compile_log  # noqa: F401  # what is compiled is logged

try:
    from recsys.kernels.parts import PartCompiler

    _PARTS: dict[str, Any] = {"pipeline_class": PartCompiler}
except ImportError:  # a version of Numba that names its own parts otherwise
    _PARTS = {}

F = TypeVar("F", bound=Callable[..., Any])


def compile_kernel(fastmath: bool | set[str], count_references: bool = True, inline: bool = False) -> Callable[[F], F]:
    """Return a decorator that compiles a function, which then runs without the interpreter lock.

    `fastmath` is Numba's: all of it, none, or the names of what may be done to floating-point numbers. A function that
    is not `counted` counts no references to arrays, and can make none: counting takes a locked instruction for each
    array that a function is given, and what is called for each candidate takes no longer than that. With `inline` it is
    written out wherever it is called.

    A function whose name begins with "_" is for compiled code alone: Python cannot call it, and it is kept inside of
    what calls it (`recsys.kernels.parts`). To compile what takes and returns its arguments from Python takes as long as
    the function itself. Where sums may be reordered it is optimised before: their order is one, whatever calls it.

    Numba keeps compiled code beside the source, or in the user's cache folder. Where it can write to neither (a
    read-only installation, a user without a home), each process compiles anew.
    """
    make: Any = njit
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy", "no_cfunc_wrapper": True}
    options |= {} if count_references else {"_nrt": False}
    options |= {"forceinline": True} if inline else {}
    reordered = fastmath if isinstance(fastmath, bool) else "reassoc" in fastmath

    def compile_(function: F) -> F:
        result: F
        if function.__name__.startswith("_"):
            result = make(no_cpython_wrapper=True, **({} if reordered else _PARTS), **options)(function)
            return result
        try:
            result = make(cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            result = make(**options)(function)
        return result

    return compile_
