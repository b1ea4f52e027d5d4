"""The input of the kernel: the terms of a blend, laid out flat."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from recsys.types import (
    Counts,
    Coverage,
    Modular,
    RecsysError,
    Seats,
    Spread,
    TableCache,
    Term,
    Volume,
    make_unknown_name_error,
)
from recsys.types.arrays import Anys, Doubles, Floats, Ints, Longs
from recsys.types.checks import check_array, check_codes, check_finite, check_matrix
from recsys.types.numbers import check_int, check_number

T = TypeVar("T")

SHAPES = (Modular, Spread, Coverage, Volume, Seats, Counts)
BY_SLOT = len(SHAPES)  # a Modular term with gains for each slot: to the kernel a shape of its own
AGGREGATES = {"max": 0, "mean": 1, "sum": 2}
PHIS = {"linear": 0, "log": 1, "exp": 2, "sqrt": 3, "max": 4}
VOLUME_FORMS = {"log": 0, "norm": 1}
NO_CAP = 1e30  # finite: the kernel is compiled with fastmath


@dataclass(frozen=True, eq=False)
class KernelInputs:
    """B users, N candidates, T terms; Tm, Tb, Ts, Tc, Tv of them by shape, in the order in which they came.

    Seats and Counts are laid out among the Coverage terms; Tb are the Modular ones with gains for each slot.
    """

    shape: Longs  # (T,) index into SHAPES, or BY_SLOT
    place: Longs  # (T,) index among the terms that are laid out together
    modular: Floats  # (Tm, B, N)
    by_slot: Floats  # (Tb, B, k, N)
    tables: Floats  # vectors of all Spread and Volume terms, end to end
    spread: Longs  # (Ts, 4) offset in tables, d, aggregate, whether it has a start
    spread_empty: Doubles  # (Ts,)
    spread_rows: Longs  # (Ts, B, N)
    spread_start: Floats  # (Ts, B, N), or (Ts, 0, 0) where none has one
    cover: Longs  # (Tc, 4) offset of its row pointers, phi, end of its columns, how far those are from `patience`'s
    seats: Doubles  # (Tc, 2) focus and divisor of Seats
    patience: Doubles  # (B, Zp, k + 1), Zp over Counts terms end to end
    cover_rows: Longs  # (Tc, B, N)
    cover_pointers: Longs
    cover_regions: Ints  # columns, counted over all terms end to end
    cover_values: Floats
    cover_slots: Doubles  # (Tc, k)
    need: Doubles  # (B, Z), Z over all terms end to end
    cap: Doubles  # (B, Z)
    start: Doubles  # (B, Z)
    volume: Longs  # (Tv, 5) offset in tables, d, form, window, offset in `volume_squares`
    volume_squares: Doubles  # of the length of each vector of Volume terms, end to end
    volume_ridge: Doubles  # (Tv,)
    volume_rows: Longs  # (Tv, B, N)
    volume_quality: Doubles  # (Tv, B, N), of form "log" 2 log of it


def build_kernel_inputs(terms: Sequence[Term], users: int, n: int, k: int, memo: TableCache) -> KernelInputs:
    """Lay out `terms` for a block; `memo` keeps the last three tables, which most objectives share from block to block.

    Raises:
        RecsysError: if a term's arrays do not have the shape of the block, or hold NaN or infinity.
    """
    for term in terms:
        _check_term_arrays(term, users, n, k)
    modular = [t.gain for t in terms if isinstance(t, Modular)]
    spread = [t for t in terms if isinstance(t, Spread)]
    by_aspect = [t for t in terms if isinstance(t, Coverage | Seats | Counts)]
    cover = [t if isinstance(t, Coverage) else Coverage(t.coverage, t.rows, t.need, "linear") for t in by_aspect]
    volume = [t for t in terms if isinstance(t, Volume)]
    vectors = [*(t.vectors for t in spread), *(t.vectors for t in volume)]
    tables, offsets = _memoize(memo, "tables", vectors, _concat_tables)
    pointers, regions, values, heads = _memoize(memo, "cover", [t.coverage for t in cover], _concat_csr_rows)
    squares, firsts = _memoize(memo, "squares", [t.vectors for t in volume], _concat_squared_norms)
    ends = np.cumsum([t.need.shape[1] for t in cover], dtype=np.int64)
    shape = np.array([_get_shape_index(t) for t in terms], np.int64)
    group = np.where((shape > SHAPES.index(Volume)) & (shape < BY_SLOT), SHAPES.index(Coverage), shape)
    widths = [t.need.shape[1] for t in by_aspect]
    counted = np.cumsum([width * isinstance(t, Counts) for t, width in zip(by_aspect, widths, strict=True)])
    block = (users, n)
    return KernelInputs(
        shape=shape,
        place=np.array([int((group[:t] == group[t]).sum()) for t in range(len(terms))], np.int64),
        modular=_stack_arrays([gain for gain in modular if gain.ndim == 2], block, np.float32),
        by_slot=_stack_arrays([gain for gain in modular if gain.ndim == 3], (users, k, n), np.float32),
        tables=tables,
        spread=np.array(
            [(offsets[i], t.vectors.shape[1], AGGREGATES[t.agg], t.start is not None) for i, t in enumerate(spread)],
            np.int64,
        ).reshape(-1, 4),
        spread_empty=np.array([t.empty for t in spread], np.float64),
        spread_rows=_stack_arrays([t.rows for t in spread], block, np.int64),
        spread_start=_stack_starts([t.start for t in spread], block),
        cover=np.array(
            [(heads[i], PHIS[t.phi], ends[i], ends[i] - counted[i]) for i, t in enumerate(cover)], np.int64
        ).reshape(-1, 4),
        seats=np.array([(t.focus, t.divisor) if isinstance(t, Seats) else (0, 0) for t in by_aspect]).reshape(-1, 2),
        patience=np.concatenate(
            [np.zeros((users, 0, k + 1)), *(t.patience for t in by_aspect if isinstance(t, Counts))], axis=1
        ),
        cover_rows=_stack_arrays([t.rows for t in cover], block, np.int64),
        cover_pointers=pointers,
        cover_regions=regions,
        cover_values=values,
        cover_slots=_stack_arrays([np.ones(k) if t.slots is None else t.slots[:k] for t in cover], (k,), np.float64),
        need=_concat_columns([t.need for t in cover], users),
        cap=_concat_columns([np.full(t.need.shape, NO_CAP) if t.cap is None else t.cap for t in cover], users),
        start=_concat_columns([np.zeros(t.need.shape) if t.start is None else t.start for t in cover], users),
        volume=np.array(
            [
                (offset, t.vectors.shape[1], VOLUME_FORMS[t.form], k if t.window is None else t.window, first)
                for t, offset, first in zip(volume, offsets[len(spread) :], firsts, strict=True)
            ],
            np.int64,
        ).reshape(-1, 5),
        volume_squares=squares,
        volume_ridge=np.array([t.ridge for t in volume], np.float64),
        volume_rows=_stack_arrays([t.rows for t in volume], block, np.int64),
        volume_quality=_stack_arrays([_prepare_quality(t, block) for t in volume], block, np.float64),
    )


def _prepare_quality(term: Volume, block: tuple[int, int]) -> Doubles:
    if term.quality is None:
        return np.full(block, 0.0 if term.form == "log" else 1.0)
    quality = term.quality.astype(np.float64)
    return 2.0 * np.log(quality) if term.form == "log" else quality


def _get_shape_index(term: Term) -> int:
    if isinstance(term, Modular) and term.gain.ndim == 3:
        return BY_SLOT
    return next(i for i, kind in enumerate(SHAPES) if isinstance(term, kind))


def check_term(name: str, term: object, users: int, n: int, k: int) -> None:
    """Refuse a term of the user's objective `name` that compiled code could not read or add up.

    Raises:
        RecsysError: naming the objective and the array.
    """
    if not isinstance(term, SHAPES):
        shapes = ", ".join(kind.__name__ for kind in SHAPES)
        raise RecsysError(f"objective '{name}' returns a {type(term).__name__}, expected one of {shapes}")
    place = f"objective '{name}': {type(term).__name__}"
    for field in ("gain", "quality", "rows", "need", "cap", "start", "slots", "patience"):
        array = getattr(term, field, None)
        if array is not None:
            check_array(f"{place}: {field}", array, (None,) * np.ndim(array), "iu" if field == "rows" else "f")
            check_finite(f"{place}: {field}", array)
    for choices, field in ((AGGREGATES, "agg"), (PHIS, "phi"), (VOLUME_FORMS, "form")):
        if hasattr(term, field) and getattr(term, field) not in choices:
            raise make_unknown_name_error(field, str(getattr(term, field)), choices, where=place)
    for field in ("empty", "ridge", "focus", "divisor"):
        check_number(f"{place}: {field}", getattr(term, field, 0.0), -math.inf)
    if isinstance(term, Modular):
        _check_term_arrays(term, users, n, k)
    elif isinstance(term, Spread | Volume):
        _check_vectors(place, term)
    else:
        check_matrix(f"{place}: coverage", term.coverage, (None, None))
        if isinstance(term, Coverage) and term.slots is not None and (term.slots.ndim != 1 or len(term.slots) < k):
            raise RecsysError(f"{place}: slots has shape {term.slots.shape}, expected {k} or more: one for each pick")
    if not isinstance(term, Modular):
        _check_term_arrays(term, users, n, k)
        size = len(term.vectors) if isinstance(term, Spread | Volume) else term.coverage.shape[0]
        check_codes(f"{place}: rows", term.rows, 0, size)


def _check_vectors(place: str, term: Spread | Volume) -> None:
    check_array(f"{place}: vectors", term.vectors, (None, None))
    check_finite(f"{place}: vectors", term.vectors)
    if isinstance(term, Volume):
        check_int(f"{place}: window", 1 if term.window is None else term.window, 1, 2**31 - 1)
        least = 0.0 if term.form == "norm" else np.nextafter(np.float32(0), np.float32(1))
        if term.quality is not None and term.quality.min(initial=1.0) < least:
            raise RecsysError(f"{place}: quality holds {term.quality.min():.6g}, expected numbers above 0")


def _check_term_arrays(term: Term, users: int, n: int, k: int) -> None:
    kind = type(term).__name__
    per_candidate = {name: getattr(term, name) for name in ("gain", "rows", "start", "quality") if hasattr(term, name)}
    if isinstance(term, Counts):
        _check_finite_array(kind, "patience", term.patience, (users, term.coverage.shape[1], k + 1))
    if isinstance(term, Coverage | Seats | Counts):
        per_candidate.pop("start", None)
        for name in ("need", "cap", "start"):
            _check_finite_array(kind, name, getattr(term, name, None), (users, term.coverage.shape[1]))
        for name in ("need", "slots"):
            _check_non_negative(kind, name, getattr(term, name, None))
    if _get_shape_index(term) == BY_SLOT:
        _check_finite_array(kind, "gain", per_candidate.pop("gain"), (users, k, n))
    for name, array in per_candidate.items():
        _check_finite_array(kind, name, array, (users, n))


def _check_finite_array(kind: str, name: str, array: Anys | None, expected: tuple[int, ...]) -> None:
    if array is None:
        return
    if array.shape != expected:
        raise RecsysError(f"a {kind} term's {name} has shape {array.shape}, expected {expected}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RecsysError(f"a {kind} term's {name} holds NaN or infinity, expected finite numbers")


def _check_non_negative(kind: str, name: str, array: Anys | None) -> None:
    if array is not None and array.min(initial=0.0) < 0.0:
        raise RecsysError(f"a {kind} term's {name} holds {array.min():.6g}, expected numbers from 0 on")


def _memoize(memo: TableCache, what: str, arrays: Sequence[Any], make: Callable[[Sequence[Any]], T]) -> T:
    """Return make(arrays), kept with the arrays: while they are there, no others have their ids."""
    key = what + ",".join(str(id(a)) for a in arrays)
    return memo.get(key, lambda: (arrays, make(arrays)))[1]


def _concat_tables(vectors: Sequence[Floats]) -> tuple[Floats, list[int]]:
    """Return the distinct tables end to end, without a copy where there is one, and each one's offset."""
    distinct = list({id(v): v for v in vectors}.values())
    ends = np.cumsum([0, *(v.size for v in distinct)])
    where = {id(v): int(end) for v, end in zip(distinct, ends, strict=False)}
    flat = [np.ascontiguousarray(v, dtype=np.float32).reshape(-1) for v in distinct]
    tables = flat[0] if len(flat) == 1 else np.concatenate([np.zeros(0, np.float32), *flat])
    return tables, [where[id(v)] for v in vectors]


def _concat_squared_norms(vectors: Sequence[Floats]) -> tuple[Doubles, list[int]]:
    """Return the squared lengths of the rows of all tables end to end, and where each one's begin."""
    made = [np.einsum("ij,ij->i", v, v, dtype=np.float64) for v in vectors]
    ends = np.cumsum([0, *(len(m) for m in made)])
    return np.concatenate([np.zeros(0), *made]), ends[:-1].tolist()


def _concat_csr_rows(matrices: Sequence[Any]) -> tuple[Longs, Ints, Floats, list[int]]:
    """Return the rows of several CSR matrices as one, columns end to end, and where each one's rows begin."""
    pointers, regions, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    heads: list[int] = []
    rows = entries = columns = 0
    for given in matrices:
        _check_non_negative("Coverage, Seats or Counts", "coverage", given.data)
        matrix = given
        if not given.has_canonical_format:  # the kernel reads one entry per row and column
            matrix = given.copy()
            matrix.sum_duplicates()
        heads.append(rows)
        pointers.append(matrix.indptr.astype(np.int64) + entries)
        regions.append((matrix.indices + columns if columns else matrix.indices).astype(np.int32, copy=False))
        values.append(matrix.data.astype(np.float32, copy=False))
        rows += len(matrix.indptr)
        entries += matrix.nnz
        columns += matrix.shape[1]
    return _concat_arrays(pointers), _concat_arrays(regions), _concat_arrays(values), heads


def _concat_arrays(arrays: list[Any]) -> Any:
    """Return the arrays end to end; the only one after the first, which is empty, as it is."""
    return np.ascontiguousarray(arrays[1]) if len(arrays) == 2 else np.concatenate(arrays)


def _stack_arrays(arrays: Sequence[Anys], shape: tuple[int, ...], dtype: Any) -> Any:
    """Return the arrays one after the other in memory, (len(arrays), *shape); the only one as it is, where it may be.

    Compiled code takes an array that may not be written to for one of another type.
    """
    if not arrays:
        return np.zeros((0, *shape), dtype)
    if len(arrays) == 1 and arrays[0].flags.writeable:
        return np.ascontiguousarray(arrays[0], dtype=dtype)[None]
    return np.stack([np.asarray(a, dtype=dtype) for a in arrays])


def _stack_starts(starts: Sequence[Floats | None], block: tuple[int, int]) -> Any:
    if all(start is None for start in starts):
        return np.zeros((len(starts), 0, 0), np.float32)
    return _stack_arrays(
        [np.zeros(block, np.float32) if start is None else start for start in starts], block, np.float32
    )


def _concat_columns(arrays: Sequence[Doubles], users: int) -> Doubles:
    return np.concatenate([np.zeros((users, 0)), *arrays], axis=1)
