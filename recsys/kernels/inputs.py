"""The input of the kernel: the terms of a blend, laid out flat."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

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

if TYPE_CHECKING:
    from recsys.kernels.greedy import CoverageInputs, KernelInputs, SpreadInputs, TermInputs, VolumeInputs

T = TypeVar("T")

SHAPES = (Modular, Spread, Coverage, Volume, Seats, Counts)
PLAIN = (Modular, Spread, Coverage)  # of every objective that a ranker's fast path serves
NO_CAP = 1e30  # finite: the kernel is compiled with fastmath


def build_kernel_inputs(terms: Sequence[Term], users: int, n: int, k: int, memo: TableCache) -> "KernelInputs":
    """Arrange the arrays of `terms` for a block of `users` users, n candidates and k picks, as the kernel reads them.

    `memo` keeps the last three joined tables: most objectives share theirs from block to block. Of the many sets of
    terms that some arrays could be left out for, there are two, so that the kernel is compiled twice at most: terms of
    the shapes PLAIN with one gain per candidate, and all others.

    Raises:
        RecsysError: if a term's arrays do not have the shape of the block, or hold NaN or infinity.
    """
    from recsys.kernels.greedy import KernelInputs

    for term in terms:
        _check_term_arrays(term, users, n, k)
    spread = [t for t in terms if isinstance(t, Spread)]
    volume = [t for t in terms if isinstance(t, Volume)]
    plain = all(isinstance(t, PLAIN) and (not isinstance(t, Modular) or t.gain.ndim == 2) for t in terms)
    tables = [*(t.vectors for t in spread), *(t.vectors for t in volume)]
    vectors, offsets = _memoize(memo, "tables", tables, _concat_tables)
    return KernelInputs(
        _build_term_inputs(terms, (users, n), k, plain),
        _build_spread_inputs(spread, (users, n), vectors, offsets[: len(spread)]),
        _build_coverage_inputs(
            [t for t in terms if isinstance(t, Coverage | Seats | Counts)], (users, n), k, memo, plain
        ),
        None if plain else _build_volume_inputs(volume, (users, n), k, memo, vectors, offsets[len(spread) :]),
    )


def _build_term_inputs(terms: Sequence[Term], block: tuple[int, int], k: int, plain: bool) -> "TermInputs":
    from recsys.kernels import greedy

    shape = np.array([_get_shape_code(t) for t in terms], np.int64)
    by_aspect = (shape == greedy.SEATS) | (shape == greedy.COUNTS)
    group = np.where(by_aspect, greedy.COVERAGE, shape)
    modular = [t.gain for t in terms if isinstance(t, Modular)]
    by_slot = [gain for gain in modular if gain.ndim == 3]
    return greedy.TermInputs(
        shape=shape,
        place=np.array([int((group[:t] == group[t]).sum()) for t in range(len(terms))], np.int64),
        modular=_stack_arrays([gain for gain in modular if gain.ndim == 2], block, np.float32),
        by_slot=None if plain else _stack_arrays(by_slot, (block[0], k, block[1]), np.float32),
    )


def _build_spread_inputs(
    terms: Sequence[Spread], block: tuple[int, int], vectors: Floats, offsets: Sequence[int]
) -> "SpreadInputs":
    from recsys.kernels.greedy import AGGREGATES, SpreadInputs

    settings = [
        (offset, t.vectors.shape[1], AGGREGATES[t.agg], t.start is not None)
        for t, offset in zip(terms, offsets, strict=True)
    ]
    return SpreadInputs(
        vectors=vectors,
        settings=np.array(settings, np.int64).reshape(-1, 4),
        empty=np.array([t.empty for t in terms], np.float64),
        rows=_stack_arrays([t.rows for t in terms], block, np.int32),
        start=_stack_starts([t.start for t in terms], block),
    )


def _build_coverage_inputs(
    terms: Sequence[Coverage | Seats | Counts], block: tuple[int, int], k: int, memo: TableCache, plain: bool
) -> "CoverageInputs":
    from recsys.kernels.greedy import PHIS, CoverageInputs

    if not terms:
        return _build_empty_coverage(block, k, plain)
    cover = [t if isinstance(t, Coverage) else Coverage(t.coverage, t.rows, t.need, "linear") for t in terms]
    pointers, regions, values, heads = _memoize(memo, "cover", [t.coverage for t in cover], _concat_csr_rows)
    widths = [t.need.shape[1] for t in terms]
    ends = np.cumsum(widths, dtype=np.int64)
    counted = np.cumsum([width * isinstance(t, Counts) for t, width in zip(terms, widths, strict=True)])
    settings = [(heads[i], PHIS[t.phi], ends[i], ends[i] - counted[i]) for i, t in enumerate(cover)]
    seats = [(t.focus, t.divisor) if isinstance(t, Seats) else (0, 0) for t in terms]
    users = block[0]
    patience = [np.zeros((users, 0, k + 1)), *(t.patience for t in terms if isinstance(t, Counts))]
    return CoverageInputs(
        settings=np.array(settings, np.int64).reshape(-1, 4),
        seats=None if plain else np.array(seats, np.float64).reshape(-1, 2),
        patience=None if plain else np.concatenate(patience, axis=1),
        rows=_stack_arrays([t.rows for t in cover], block, np.int32),
        pointers=pointers,
        regions=regions,
        values=values,
        slots=_stack_arrays([np.ones(k) if t.slots is None else t.slots[:k] for t in cover], (k,), np.float64),
        need=_concat_columns([t.need for t in cover], users),
        cap=_concat_columns([np.full(t.need.shape, NO_CAP) if t.cap is None else t.cap for t in cover], users),
        start=_concat_columns([np.zeros(t.need.shape) if t.start is None else t.start for t in cover], users),
    )


def _build_empty_coverage(block: tuple[int, int], k: int, plain: bool) -> "CoverageInputs":
    """Return the inputs of no term: most blends have none, and the general way takes longer than some slates."""
    from recsys.kernels.greedy import CoverageInputs

    users = block[0]
    return CoverageInputs(
        settings=np.zeros((0, 4), np.int64),
        seats=None if plain else np.zeros((0, 2)),
        patience=None if plain else np.zeros((users, 0, k + 1)),
        rows=np.zeros((0, *block), np.int32),
        pointers=np.zeros(0, np.int64),
        regions=np.zeros(0, np.int32),
        values=np.zeros(0, np.float32),
        slots=np.zeros((0, k)),
        need=np.zeros((users, 0)),
        cap=np.zeros((users, 0)),
        start=np.zeros((users, 0)),
    )


def _build_volume_inputs(
    terms: Sequence[Volume], block: tuple[int, int], k: int, memo: TableCache, vectors: Floats, offsets: Sequence[int]
) -> "VolumeInputs":
    from recsys.kernels.greedy import VOLUME_FORMS, VolumeInputs

    squares, firsts = _memoize(memo, "squares", [t.vectors for t in terms], _concat_squared_norms)
    settings = [
        (offset, t.vectors.shape[1], VOLUME_FORMS[t.form], k if t.window is None else t.window, first)
        for t, offset, first in zip(terms, offsets, firsts, strict=True)
    ]
    return VolumeInputs(
        vectors=vectors,
        settings=np.array(settings, np.int64).reshape(-1, 5),
        squares=squares,
        ridge=np.array([t.ridge for t in terms], np.float64),
        rows=_stack_arrays([t.rows for t in terms], block, np.int32),
        quality=_stack_qualities(terms, block),
    )


def _stack_qualities(terms: Sequence[Volume], block: tuple[int, int]) -> Any:
    if all(t.quality is None for t in terms):
        return np.zeros((len(terms), 0, 0))
    return _stack_arrays([_prepare_quality(t, block) for t in terms], block, np.float64)


def _prepare_quality(term: Volume, block: tuple[int, int]) -> Doubles:
    if term.quality is None:
        return np.full(block, 0.0 if term.form == "log" else 1.0)
    quality = term.quality.astype(np.float64)
    return 2.0 * np.log(quality) if term.form == "log" else quality


def _get_shape_code(term: Term) -> int:
    from recsys.kernels import greedy

    if _has_gain_by_slot(term):
        return greedy.BY_SLOT
    codes = (greedy.MODULAR, greedy.SPREAD, greedy.COVERAGE, greedy.VOLUME, greedy.SEATS, greedy.COUNTS)
    return next(code for kind, code in zip(SHAPES, codes, strict=True) if isinstance(term, kind))


def _has_gain_by_slot(term: Term) -> bool:
    return isinstance(term, Modular) and term.gain.ndim == 3


def check_term(name: str, term: object, users: int, n: int, k: int, looked_at: list[Floats] | None = None) -> None:
    """Refuse a term of the user's objective `name` that compiled code could not read or add up.

    A table of vectors that is `looked_at` already is not looked at again; the term's own takes its place.

    Raises:
        RecsysError: naming the objective and the array.
    """
    from recsys.kernels.greedy import AGGREGATES, PHIS, VOLUME_FORMS

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
        _check_vectors(place, term, [] if looked_at is None else looked_at)
    else:
        check_matrix(f"{place}: coverage", term.coverage, (None, None))
        if isinstance(term, Coverage) and term.slots is not None and (term.slots.ndim != 1 or len(term.slots) < k):
            raise RecsysError(f"{place}: slots has shape {term.slots.shape}, expected {k} or more: one for each pick")
    if not isinstance(term, Modular):
        _check_term_arrays(term, users, n, k)
        size = len(term.vectors) if isinstance(term, Spread | Volume) else term.coverage.shape[0]
        check_codes(f"{place}: rows", term.rows, 0, size)


def _check_vectors(place: str, term: Spread | Volume, looked_at: list[Floats]) -> None:
    if not any(term.vectors is table for table in looked_at):
        check_array(f"{place}: vectors", term.vectors, (None, None))
        check_finite(f"{place}: vectors", term.vectors)
        looked_at[:] = [term.vectors]
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
    if _has_gain_by_slot(term):
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
