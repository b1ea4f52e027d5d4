"""Dot products of whole numbers of 8 and of 16 bits, in 32 bits, four rows at once.

Of a plain loop the compiler makes vectors of half the width. These are vectors of LLVM that hold for any machine; on
x86 each multiplication with its sum of neighbours is one instruction (vpmaddwd).
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

STEP = 16  # numbers of a row that are multiplied at once: rows have a multiple of it
ROWS = 4
_AHEAD = 4096  # bytes from what is read to what is fetched from memory meanwhile
_LINE = 64  # bytes that come at once

_INT8, _INT16, _INT32 = (ir.IntType(bits) for bits in (8, 16, 32))


@intrinsic
def multiply_rows(typing: Any, codes: Any, first: Any, user: Any, products: Any, place: Any) -> Any:
    """Fill `products[place : place + 4]` with the dot products of `codes[first : first + 4]` and `user`.

    `codes` (I, d) are of 8 bits, `user` (d,) of 16, `products` of 32, all without gaps; d is a multiple of 16.
    """
    return types.void(codes, types.intp, user, products, types.intp), _generate


def _generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    codes, user, products = (make_array(signature.args[n])(context, builder, given[n]) for n in (0, 2, 3))
    d = builder.extract_value(codes.shape, 1)
    number = d.type
    start = builder.gep(codes.data, [builder.mul(given[1], d)])
    _fetch_ahead(builder, start, builder.mul(d, number(ROWS)))
    rows = [builder.gep(start, [builder.mul(d, number(row))]) for row in range(ROWS)]
    zero = ir.Constant(ir.VectorType(_INT32, STEP // 2), None)
    totals = [cgutils.alloca_once_value(builder, zero) for _ in rows]
    with cgutils.for_range_slice(builder, number(0), d, number(STEP), number) as (column, _):
        of_user = _load_numbers(builder, user.data, column, _INT16)
        for row, total in zip(rows, totals, strict=True):
            made = builder.mul(_load_numbers(builder, row, column, _INT8), of_user)
            builder.store(builder.add(builder.load(total), _add_neighbours(builder, made, made)), total)
    sums = [builder.load(total) for total in totals]
    pairs = [_join_sums(builder, sums[n], sums[n + 1]) for n in (0, 2)]
    fours = _join_sums(builder, *pairs)
    whole = _add_neighbours(builder, fours, fours)
    at = builder.bitcast(builder.gep(products.data, [given[4]]), whole.type.as_pointer())
    builder.store(whole, at, align=4)
    return context.get_dummy_value()


def _load_numbers(builder: Any, start: Any, column: Any, kind: Any) -> Any:
    """Return 16 numbers from a column on, in 32 bits."""
    at = builder.bitcast(builder.gep(start, [column]), ir.VectorType(kind, STEP).as_pointer())
    return builder.sext(builder.load(at, align=1), ir.VectorType(_INT32, STEP))


def _add_neighbours(builder: Any, left: Any, right: Any) -> Any:
    """Return the sums of the numbers 0 and 1, 2 and 3, ... of a vector, half as many."""
    count = left.type.count // 2
    return _add_places(builder, left, right, [2 * n for n in range(count)])


def _join_sums(builder: Any, left: Any, right: Any) -> Any:
    """Return the sums of neighbours of one vector, and after them of another."""
    return _add_places(builder, left, right, [2 * n for n in range(left.type.count)])


def _add_places(builder: Any, left: Any, right: Any, places: list[int]) -> Any:
    masks = [ir.Constant(ir.VectorType(_INT32, len(places)), [_INT32(p + more) for p in places]) for more in (0, 1)]
    return builder.add(*(builder.shuffle_vector(left, right, mask) for mask in masks))


def _fetch_ahead(builder: Any, start: Any, width: Any) -> None:
    """Have the bytes that are read some rows later come from memory; beyond the end nothing is read."""
    kind = ir.FunctionType(ir.VoidType(), [_INT8.as_pointer(), _INT32, _INT32, _INT32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    number = width.type
    with cgutils.for_range_slice(
        builder, number(_AHEAD), builder.add(width, number(_AHEAD)), number(_LINE), number
    ) as (
        offset,
        _,
    ):
        builder.call(fetch, [builder.gep(start, [offset]), _INT32(0), _INT32(3), _INT32(1)])
