"""Checks of records that a user makes by hand or reads from a file: compiled code looks at no bounds.

Each function refuses, in one line, an array by which compiled code or NumPy would index wrongly, and numbers that are
not finite. `recsys.kernels.inputs` checks terms, `recsys.kernels.slot_rules` what guards come to.
"""

from typing import Any, cast

import numpy as np
from scipy import sparse

from recsys.types.arrays import Anys, Csr, Ints, Strings
from recsys.types.errors import RecsysError

CHECKED_AT_ONCE = 2**18  # numbers looked at once: they stay in the cache


def check_array(place: str, array: object, shape: tuple[int | None, ...], kinds: str = "f") -> None:
    """Refuse anything but an array of this shape (None is any length) and of one of NumPy's `kinds`.

    Raises:
        RecsysError: naming `place`.
    """
    if not isinstance(array, np.ndarray):
        raise RecsysError(f"{place} is a {type(array).__name__}, expected an array")
    expected = " x ".join("n" if size is None else f"{size}" for size in shape)
    if array.ndim != len(shape) or any(size not in (None, n) for size, n in zip(shape, array.shape, strict=True)):
        raise RecsysError(f"{place} has shape {array.shape}, expected {expected}")
    check_dtype(place, array, kinds)


def check_dtype(place: str, array: Anys, kinds: str) -> None:
    """Refuse an array of other `kinds`, or whose numbers compiled code does not take as they are.

    It takes whole numbers, and floating-point numbers of 32 or 64 bits, in the byte order of the machine.

    Raises:
        RecsysError: naming `place`.
    """
    kind = array.dtype.kind
    if kind not in kinds:
        signed = " with a sign" if kind == "u" else ""
        raise RecsysError(f"{place} is of type {array.dtype}, expected {_KIND_NAMES[kinds[0]]}{signed}")
    if kind == "f" and (array.dtype.itemsize not in (4, 8) or not array.dtype.isnative):
        raise RecsysError(f"{place} is of type {array.dtype}, expected numbers of 32 or 64 bits")
    if kind in "iu" and not array.dtype.isnative:
        raise RecsysError(f"{place} is of type {array.dtype}, expected whole numbers in the machine's byte order")


def check_codes(place: str, codes: Anys, least: int, end: int) -> None:
    """Refuse codes, an array of whole numbers, below `least` or not below `end`.

    Raises:
        RecsysError: naming `place`.
    """
    if codes.size and not (least <= int(codes.min()) and int(codes.max()) < end):
        found = f"{int(codes.min())} to {int(codes.max())}"
        raise RecsysError(f"{place} holds {found}, expected whole numbers from {least} to {end - 1}")


def check_finite(place: str, numbers: Anys) -> None:
    """Refuse NaN and infinity.

    Raises:
        RecsysError: naming `place`.
    """
    if numbers.dtype.kind == "f":
        flat = np.asarray(numbers).reshape(-1)
        if not all(
            np.isfinite(flat[start : start + CHECKED_AT_ONCE]).all() for start in range(0, flat.size, CHECKED_AT_ONCE)
        ):
            raise RecsysError(f"{place} holds NaN or infinity, expected finite numbers")


def check_matrix(place: str, matrix: object, shape: tuple[int | None, int | None]) -> None:
    """Refuse anything but a CSR matrix of this shape (None is any) with valid indices and finite numbers.

    Raises:
        RecsysError: naming `place`.
    """
    check_matrix_types(place, matrix)
    matrix = cast(Csr, matrix)
    expected = " x ".join("n" if size is None else f"{size}" for size in shape)
    if any(size not in (None, n) for size, n in zip(shape, matrix.shape, strict=True)):
        raise RecsysError(f"{place} has shape {matrix.shape}, expected {expected}")
    pointers = np.asarray(matrix.indptr)
    ends = len(pointers) == matrix.shape[0] + 1 and pointers[0] == 0 and pointers[-1] == len(matrix.indices)
    if not ends or len(matrix.data) != len(matrix.indices) or (pointers[1:] < pointers[:-1]).any():
        raise RecsysError(f"{place}: its entries are not those of a matrix of shape {matrix.shape}")
    check_codes(f"{place}: indices", matrix.indices, 0, matrix.shape[1])
    check_finite(place, matrix.data)


def check_matrix_types(place: str, matrix: object) -> None:
    """Refuse anything but a CSR matrix whose three arrays are of types that compiled code takes.

    Raises:
        RecsysError: naming `place`.
    """
    if not sparse.issparse(matrix) or cast(Any, matrix).format != "csr":
        raise RecsysError(f"{place} is a {type(matrix).__name__}, expected a CSR matrix: scipy.sparse.csr_array")
    for name, kinds in (("indptr", "i"), ("indices", "i"), ("data", "fiub")):
        array = getattr(matrix, name)
        check_array(f"{place}: {name}", array, (None,), kinds)
        if kinds == "i" and array.dtype.itemsize < 4:
            raise RecsysError(f"{place}: {name} is of type {array.dtype}, expected whole numbers of 32 or 64 bits")


def convert_to_texts(place: str, texts: object) -> Strings:
    """Return an array of texts as one of NumPy's own type for them.

    Raises:
        RecsysError: if it holds anything else.
    """
    if isinstance(texts, np.ndarray) and texts.dtype.kind == "O" and all(isinstance(text, str) for text in texts.flat):
        texts = texts.astype(np.str_)
    check_array(place, texts, (None,), "U")
    return cast(Strings, texts)


def convert_to_codes(place: str, codes: object) -> Ints:
    """Return whole numbers as an array of 32 bits, C-contiguous.

    Raises:
        RecsysError: if they are none, or need more bits.
    """
    array = np.asarray(codes)
    if array.dtype == np.int32 and array.flags.c_contiguous:
        return array
    if array.dtype.kind not in "iu" and array.size:
        raise RecsysError(f"{place} is of type {array.dtype}, expected whole numbers")
    if array.size and array.dtype.itemsize >= 4:
        check_codes(place, array, -(2**31), 2**31)
    return np.ascontiguousarray(array, dtype=np.int32)


_KIND_NAMES = {"f": "numbers", "i": "whole numbers", "b": "true or false", "U": "text"}
