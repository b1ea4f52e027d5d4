"""Validate model settings and available memory before fitting."""

from typing import NamedTuple

from recsys.support.memory import read_available_memory
from recsys.support.serialization import flatten_record
from recsys.types.arrays import Csr
from recsys.types.checks import check_dtype
from recsys.types.errors import RecsysError
from recsys.types.numbers import check_flag, check_int, check_number


class MemoryNeed(NamedTuple):
    """How much memory a fit takes."""

    peak: int  # bytes while it is fitted
    kept: int  # bytes of what is fitted, beside the positives
    subject: str  # that is so large
    advice: str  # what helps


class CheckedArrays:
    """Base of fitted models: arrays are of types that compiled code takes, matrices of the same items."""

    def __post_init__(self) -> None:
        """Refuse arrays of other types, and matrices (any, I) of different I.

        Raises:
            RecsysError: naming the model and the array.
        """
        arrays = flatten_record(self)
        widths = {
            name.removesuffix(".shape"): int(found[1]) for name, found in arrays.items() if name.endswith(".shape")
        }
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} of {width:,}" for name, width in widths.items())
            raise RecsysError(f"{type(self).__name__}: found {told}, expected the same items")
        for name, array in arrays.items():
            if array.ndim:
                kinds = "i" if name.endswith((".indices", ".indptr")) else "fiub"
                check_dtype(f"{type(self).__name__}: {name}", array, kinds)


def check_positive_ints(model: str, **settings: int) -> None:
    """Refuse settings that are no whole numbers from 1 on."""
    for name, found in settings.items():
        check_int(f"{model}: {name}", found, 1)


def check_ints(model: str, **settings: int) -> None:
    """Refuse settings that are no whole numbers."""
    for name, found in settings.items():
        check_int(f"{model}: {name}", found)


def check_non_negative(model: str, **settings: float) -> None:
    """Refuse settings that are no finite numbers from 0 on."""
    for name, found in settings.items():
        check_number(f"{model}: {name}", found)


def check_positive(model: str, **settings: float) -> None:
    """Refuse settings that are no finite numbers above 0."""
    for name, found in settings.items():
        check_number(f"{model}: {name}", found, above=0)


def check_booleans(model: str, **settings: bool) -> None:
    """Refuse settings that are neither true nor false."""
    for name, found in settings.items():
        check_flag(f"{model}: {name}", found)


def check_memory(model: str, need: MemoryNeed) -> None:
    """Refuse a fit that needs more bytes than this machine can give."""
    found = read_available_memory()
    if found is not None and need.peak > found:
        text = f"{need.subject} need {need.peak:,} bytes of memory, and {found:,} are available: {need.advice}"
        raise RecsysError(f"{model}: {text}")


def estimate_factor_memory(train: Csr, d: int, bytes_per_factor: int) -> MemoryNeed:
    """Return the bytes of d float32 factors for every user and item of `train`."""
    users, items = train.shape
    numbers = d * (users + items)
    what = f"{d} factors of {users:,} users and {items:,} items"
    return MemoryNeed(bytes_per_factor * numbers, 4 * numbers, what, "use fewer factors")
