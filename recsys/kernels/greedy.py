"""Greedy selection: pick k candidates for each user, each time the one with the largest weighted sum of marginal gains.

One compiled function serves every blend of the term shapes in `recsys.types.terms`. It is serial, runs without the
interpreter lock and allocates nothing inside the loop over users; `recsys.reranking.blocks` calls it on threads, one
block of users at a time. `recsys.kernels.reference` computes the same slates in plain NumPy.

`Spread` and `Volume` need one dot product per candidate and pick; `Coverage` needs one pass over the regions that a
candidate belongs to. The largest similarity to the slate and the covered amounts only grow with the slate, and a
residual only shrinks, so the last gain computed for a candidate is an upper bound of its present gain (lazy greedy,
Minoux 1978). The kernel therefore recomputes gains only for candidates whose bound could win the slot, and no further
than to where the bound loses: a candidate meets the picks that it has not met yet four at a time, in their order, and
the rest waits until its bound could win again. It recomputes all gains if picks are drawn, if a weight is negative, for
means, sums and windows, and for slot weights that increase.

Arrays of terms that a blend does not have are None. Numba then leaves out what reads them: of a blend of `Modular`,
`Spread` and `Coverage` terms a third of the code is compiled.

The named tuples and the integer codes of the kernel's inputs are defined here, beside the code that is compiled from
them: Numba discards cached machine code only if this file changes.
"""

from typing import Any, NamedTuple

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Bools, Doubles, Floats, Ints, Longs

MODULAR, SPREAD, COVERAGE, VOLUME, SEATS, COUNTS, BY_SLOT = range(7)  # BY_SLOT: Modular with a gain for each slot
MAX, MEAN, SUM = range(3)
LINEAR, LOG, EXP, SQRT, LARGEST = range(5)
LOG_DETERMINANT, NORM = range(2)
AGGREGATES = {"max": MAX, "mean": MEAN, "sum": SUM}
PHIS = {"linear": LINEAR, "log": LOG, "exp": EXP, "sqrt": SQRT, "max": LARGEST}
VOLUME_FORMS = {"log": LOG_DETERMINANT, "norm": NORM}
TIE_FACTOR = 1.0 - 1e-6  # Seats: quotients within this factor of the largest are equal up to rounding
LOWEST_TOTAL = -1e300  # total of a candidate that cannot be picked: finite, as fastmath assumes, and below all others
FULL_SCAN_RATIO = 12  # up to so many candidates per pick, bounds save less at the second pick than a full pass costs
CHUNK = 16  # candidates per chunk: a chunk whose largest total is below the best one is skipped
RESIDUAL_FLOOR = 1e-6  # squared residuals below it count as this much in the logarithm
ZERO_RESIDUAL = 1e-12  # a squared residual up to this is rounding error: the pick spans no new direction
RECOMPUTE_BELOW = 1e-3  # a squared residual below it is recomputed from dot products in double precision
AT_ONCE = 4  # dot products at once, and picks that a candidate meets before its bound is looked at again
BOUND_SLACK = 1e-12  # relative tolerance of bounds: computed logarithms are not monotone to the last bit


class TermInputs(NamedTuple):
    """T terms for B users and N candidates: Tm `Modular` terms with one gain per candidate, Tb with one per slot."""

    shape: Longs  # (T,) MODULAR to BY_SLOT
    place: Longs  # (T,) index among the terms that are stored together: Coverage, Seats and Counts are
    modular: Floats  # (Tm, B, N)
    by_slot: Floats | None  # (Tb, B, k, N)


class SpreadInputs(NamedTuple):
    """Ts `Spread` terms."""

    vectors: Floats  # flat: the vectors of all Spread and Volume terms
    settings: Longs  # (Ts, 4) offset in `vectors`, dimension d, aggregate, 1 if the term has a start
    empty: Doubles  # (Ts,) gain with an empty slate
    rows: Ints  # (Ts, B, N)
    start: Floats  # (Ts, B, N), or (Ts, 0, 0) if no term has one


class CoverageInputs(NamedTuple):
    """Tc terms with regions or aspects: `Coverage`, `Seats` and `Counts`; Z regions, all terms one after the other."""

    settings: Longs  # (Tc, 4) offset in `pointers`, phi, end of its regions, their shift against those of `patience`
    seats: Doubles | None  # (Tc, 2) focus and divisor of Seats
    patience: Doubles | None  # (B, Zp, k + 1), Zp regions of the Counts terms
    rows: Ints  # (Tc, B, N)
    pointers: Longs
    regions: Ints
    values: Floats
    slots: Doubles  # (Tc, k)
    need: Doubles  # (B, Z)
    cap: Doubles  # (B, Z)
    start: Doubles  # (B, Z)


class VolumeInputs(NamedTuple):
    """Tv `Volume` terms."""

    vectors: Floats  # that of `SpreadInputs`
    settings: Longs  # (Tv, 5) offset in `vectors`, dimension d, form, window, offset in `squares`
    squares: Doubles  # flat: the squared norm of each vector
    ridge: Doubles  # (Tv,)
    rows: Ints  # (Tv, B, N)
    quality: Doubles  # (Tv, B, N), 2 log quality for the form "log", or (Tv, 0, 0) if no term has one


class KernelInputs(NamedTuple):
    """All terms of a blend for a block of users; without Volume, Seats, Counts and gains by slot, these are None."""

    terms: TermInputs
    spread: SpreadInputs
    coverage: CoverageInputs
    volume: VolumeInputs | None

    def to_tuples(self) -> tuple[tuple[Any, ...] | None, ...]:
        """Return plain tuples for `pick_greedily`."""
        return tuple(None if part is None else tuple(part) for part in self)


class RuleInputs(NamedTuple):
    """The arrays of a `recsys.kernels.slot_rules.SlotRules`, which says what they hold."""

    codes: Ints
    closed: Bools
    pins: Longs
    pointers: Longs
    groups: Ints
    least: Longs
    most: Longs


class DrawSettings(NamedTuple):
    """How picks are chosen: the best candidate, unless `temperature` or `epsilon` is above 0 or `follow` is set."""

    k: int
    temperature: float
    epsilon: float
    uniforms: Doubles  # (B, k) in [0, 1), read if temperature or epsilon is above 0
    follow: bool  # pick the candidates in their own order


class KernelOutput(NamedTuple):
    """What the kernel fills for B users and T terms."""

    picks: Longs  # (B, k) index of a candidate, -1 = none
    contributions: Floats  # (B, k, T) weight times gain
    log_propensity: Floats  # (B, k) log-probability of a drawn pick
    deviations: Doubles  # (B, T) with `follow`: standard deviation of gains over candidates left, mean over the slots


class BlockSizes(NamedTuple):
    """Lengths of the arrays of a `KernelState`."""

    candidates: int  # N, the most that a user has
    picks: int  # k, at least 1
    terms: int  # T
    spreads: int  # Ts
    coverages: int  # Tc
    volumes: int  # Tv
    regions: int  # Z
    lines: int  # L, the most that a user needs
    groups: int  # G


class BlendState(NamedTuple):
    """Gains and totals of one user's candidates."""

    gain: Doubles  # (T, N)
    total: Doubles  # (N,) up to the next whole chunk: LOWEST_TOTAL beyond the last candidate
    tops: Doubles  # the largest total of each chunk
    listed: Longs  # candidates of a chunk
    alive: Bools  # (N,) neither picked nor excluded
    bounded: Bools  # (T,) whether an old gain of a candidate is an upper bound of its present one


class SlotState(NamedTuple):
    """What the slot rules allow one user."""

    kept: Bools  # (N,) pinned to a slot
    free: Bools  # (N,) allowed in the present slot
    counts: Longs  # (G,) picks of each group so far, and pinned candidates
    lacks: Longs  # (G,) picks that each group still needs, as far as candidates are left


class SpreadState(NamedTuple):
    """Similarities of one user's candidates to the slate."""

    similarity: Doubles  # (Ts, N) largest or summed similarity to the picks compared so far
    met: Longs  # (Ts, N) how many picks each candidate was compared with


class CoverageState(NamedTuple):
    """What one user's slate covers."""

    covered: Doubles  # (Z,) amount; of Seats the seats, and of Counts the picks, that each aspect has
    worth: Doubles  # (Z,) phi of the amount, unless phi is linear or the maximum


class AspectState(NamedTuple):
    """One line for each aspect of `Seats` and `Counts` that the user needs; line 0 collects all other aspects."""

    starts: Longs  # (Tc + 1,) first line of each Seats or Counts term, and the end of its lines
    line: Longs  # (Z,) line of each aspect
    aspect: Longs  # (L,) aspect of each line
    share: Floats  # (L, N) amount of the line's aspect in each candidate


class VolumeState(NamedTuple):
    """Rows of the Cholesky factor of one user's candidates (Chen et al. 2018)."""

    diagonal: Doubles  # (Tv, N) of the kernel matrix: squared residuals with an empty slate
    residual: Doubles  # (Tv, N) squared residuals
    met: Longs  # (Tv, N) how many entries of its row each candidate has
    basis: Doubles  # (Tv N k,) the rows, k entries each
    held: Longs  # (Tv, k) picks in the window
    roots: Doubles  # (Tv, k) residual of each of these, 0 if it spans no new direction
    exact: Longs  # (Tv, N) how many entries were computed in double precision, -1 = not begun
    exact_residual: Doubles  # (Tv, N) squared residuals after these


class KernelState(NamedTuple):
    """Arrays that are reused from user to user."""

    blend: BlendState
    slots: SlotState
    coverage: CoverageState
    spread: SpreadState
    volume: VolumeState | None
    aspects: AspectState | None


# No reassociation: results must not depend on the alignment of arrays, which decides what is computed in vectors.
EXACT_FASTMATH = {"nnan", "ninf", "nsz"}
_compiled = compile_kernel(fastmath=EXACT_FASTMATH, count_references=False)
_inlined = compile_kernel(fastmath=EXACT_FASTMATH, count_references=False, inline=True)


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False, inline=True)
def _dot_four(table, row, others, d):
    """Return the dot products of the d numbers from `row` on and those from each of four `others` on.

    Four at once take little longer than one: they share what is read, and none waits for another's sum. Every dot
    product in single precision is made here: a sum may be reordered, and the order depends on d alone, as the loop
    writes nothing. Indices are unsigned, since LLVM does not vectorize a loop whose index could be negative.
    """
    first, second, third, fourth = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    row, a, b, c, e = np.uintp(row), np.uintp(others[0]), np.uintp(others[1]), np.uintp(others[2]), np.uintp(others[3])
    for j in range(d):
        i = np.uintp(j)
        own = table[row + i]
        first += own * table[a + i]
        second += own * table[b + i]
        third += own * table[c + i]
        fourth += own * table[e + i]
    return first, second, third, fourth


@_inlined
def _find_four(rows, first, end, offset, d):
    """Return where the vectors of four candidates begin, from `first` on; the last before `end` for those beyond it."""
    a, b = np.uintp(first), np.uintp(min(first + 1, end - 1))
    c, e = np.uintp(min(first + 2, end - 1)), np.uintp(min(first + 3, end - 1))
    return offset + rows[a] * d, offset + rows[b] * d, offset + rows[c] * d, offset + rows[e] * d


@_inlined
def _find_four_picks(rows, picks, first, end, offset, d):
    """Return `_find_four` of candidates that were picked."""
    a, b = picks[np.uintp(first)], picks[np.uintp(min(first + 1, end - 1))]
    c, e = picks[np.uintp(min(first + 2, end - 1))], picks[np.uintp(min(first + 3, end - 1))]
    return (
        offset + rows[np.uintp(a)] * d,
        offset + rows[np.uintp(b)] * d,
        offset + rows[np.uintp(c)] * d,
        offset + rows[np.uintp(e)] * d,
    )


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False, inline=True)
def _dot_in_basis(basis, a, b, s):
    """Return `_dot` of two rows that are stored in double precision."""
    total, a, b = 0.0, np.uintp(a), np.uintp(b)
    for j in range(s):
        r = np.uintp(j)
        total += basis[a + r] * basis[b + r]
    return total


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False)
def _dot_in_double(table, a, b, d):
    """Return `_dot`, computed in double precision."""
    total = 0.0
    for j in range(d):
        total += np.float64(table[a + j]) * np.float64(table[b + j])
    return total


@_inlined
def _compute_spread_bound(spread, state, b, p, slate, until, i):
    """Return a bound of the gain of candidate i (aggregate "max"): its gain after the picks before `until`."""
    at, own = np.uintp(p), np.uintp(i)
    vectors, rows = spread.vectors, spread.rows[at, np.uintp(b)]
    offset, d = spread.settings[at, 0], spread.settings[at, 1]
    row, largest = offset + rows[own] * d, state.similarity[at, own]
    for s in range(state.met[at, own], until, AT_ONCE):
        w, x, y, z = _dot_four(vectors, row, _find_four_picks(rows, slate, s, until, offset, d), d)
        largest = max(largest, np.float64(max(max(w, x), max(y, z))))
    state.similarity[at, own], state.met[at, own] = largest, until
    return 1.0 - largest


@_compiled
def _fill_spread_gains(spread, state, b, p, slate, step, n, gain):
    """Set the gains of all candidates, each of which has met all picks except the last."""
    vectors, rows, similarity, met = spread.vectors, spread.rows[p, b], state.similarity, state.met
    offset, d, agg = spread.settings[p, 0], spread.settings[p, 1], spread.settings[p, 2]
    members = step + spread.settings[p, 3]
    if step > 0:
        pick = offset + rows[slate[step - 1]] * d
        for i in range(0, n, AT_ONCE):
            similar = _dot_four(vectors, pick, _find_four(rows, i, n, offset, d), d)
            for j in range(min(AT_ONCE, n - i)):
                more = np.float64(similar[j])
                similarity[p, i + j] = max(similarity[p, i + j], more) if agg == MAX else similarity[p, i + j] + more
        met[p, :n] = step
    if members == 0:
        gain[:n] = spread.empty[p]
    elif agg == MAX:
        for i in range(n):
            gain[i] = 1.0 - similarity[p, i]
    else:
        for i in range(n):
            gain[i] = 1.0 - similarity[p, i] / members if agg == MEAN else members - similarity[p, i]


@_compiled
def _apply_phi(phi, c):
    """Return phi(c) for phi = LOG, EXP or SQRT, up to a constant."""
    return np.log(c) if phi == LOG else -np.exp(-c) if phi == EXP else np.sqrt(c)


@_inlined
def _compute_coverage_gain(coverage, state, b, p, step, i):
    """Return the gain of candidate i from the regions that it covers."""
    regions, values, need, cap = coverage.regions, coverage.values, coverage.need[b], coverage.cap[b]
    covered, worth = state.covered, state.worth
    phi, row = coverage.settings[p, 1], coverage.settings[p, 0] + coverage.rows[p, b, i]
    slot, gain = coverage.slots[p, step], 0.0
    for e in range(np.uintp(coverage.pointers[row]), np.uintp(coverage.pointers[row + 1])):
        z, share = np.uintp(regions[e]), slot * values[e]
        if phi == LINEAR:
            gain += need[z] * (min(covered[z] + share, cap[z]) - min(covered[z], cap[z]))
        elif phi == LARGEST:
            gain += need[z] * max(0.0, share - covered[z])
        elif need[z] != 0.0 and share != 0.0:
            gain += need[z] * (_apply_phi(phi, covered[z] + share) - worth[z])
    return gain


@_compiled
def _init_coverage(coverage, state, b, p):
    """Set the initial amounts of the term's regions, and phi of these where `_compute_coverage_gain` reads it."""
    settings, need, start, covered, worth = coverage.settings, coverage.need, coverage.start, state.covered, state.worth
    phi = settings[p, 1]
    for z in range(settings[p - 1, 2] if p > 0 else 0, settings[p, 2]):
        covered[z] = start[b, z]
        if phi != LINEAR and phi != LARGEST and need[b, z] != 0.0:
            worth[z] = _apply_phi(phi, covered[z])


@_compiled
def _add_to_coverage(coverage, state, b, p, step, pick):
    """Cover the regions of a pick."""
    regions, values, need, covered, worth = coverage.regions, coverage.values, coverage.need, state.covered, state.worth
    phi, row, slot = (
        coverage.settings[p, 1],
        coverage.settings[p, 0] + coverage.rows[p, b, pick],
        coverage.slots[p, step],
    )
    for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
        z, share = regions[e], slot * values[e]
        covered[z] = max(covered[z], share) if phi == LARGEST else covered[z] + share
        if phi != LINEAR and phi != LARGEST and need[b, z] != 0.0:
            worth[z] = _apply_phi(phi, covered[z])


@_compiled
def _fill_aspect_shares(coverage, aspects, b, p, lines, n):
    """Assign a line, from `lines` on, to each aspect of term p that the user needs, and set the candidates' shares.

    Return the number of lines so far. The shares of aspects that the user does not need go to line 0, which nothing
    reads: skipping them takes longer.
    """
    if aspects is None:
        return lines
    settings, line, share = coverage.settings, aspects.line, aspects.share
    aspects.starts[p] = lines
    for z in range(settings[p - 1, 2] if p > 0 else 0, settings[p, 2]):
        line[z] = 0
        if coverage.need[b, z] != 0.0:
            line[z] = lines
            aspects.aspect[lines] = z
            share[lines, :n] = 0.0
            lines += 1
    aspects.starts[p + 1] = lines
    for i in range(n):
        row = settings[p, 0] + coverage.rows[p, b, i]
        for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
            share[line[coverage.regions[e]], i] = coverage.values[e]
    return lines


@_compiled
def _fill_seat_gains(coverage, state, aspects, b, p, n, gain):
    """Set the candidates' shares of each aspect, weighted by its quotient for the next seat.

    The aspect with the largest quotient counts `focus` of it, every other aspect 1 - `focus`.
    """
    if aspects is None:
        return
    votes, seats, aspect, share = coverage.need[b], state.covered, aspects.aspect, aspects.share
    focus, divisor = coverage.seats[p, 0], coverage.seats[p, 1]
    first_line, end, largest = aspects.starts[p], aspects.starts[p + 1], 0.0
    for r in range(first_line, end):
        largest = max(largest, votes[aspect[r]] / (divisor * seats[aspect[r]] + 1.0))
    gain[:n] = 0.0
    due = False
    for r in range(first_line, end):
        quotient = votes[aspect[r]] / (divisor * seats[aspect[r]] + 1.0)
        first = not due and quotient >= largest * TIE_FACTOR
        due = due or first
        weight = quotient * (focus if first else 1.0 - focus)
        for i in range(n):
            gain[i] += weight * share[r, i]


@_compiled
def _update_seats(coverage, seats, aspects, b, p, pick):
    """Divide one seat among the aspects of a pick."""
    if aspects is None:
        return
    row, total = coverage.settings[p, 0] + coverage.rows[p, b, pick], 0.0
    for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
        total += coverage.values[e]
    for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
        if total > 0.0:
            seats[coverage.regions[e]] += coverage.values[e] / total


@_compiled
def _fill_count_gains(coverage, state, aspects, b, p, n, gain):
    """Set the value of the slate with each candidate, less the value without."""
    if aspects is None:
        return
    need, patience, counts = coverage.need[b], coverage.patience[b], state.covered
    regions, values, offset, shift = coverage.regions, coverage.values, coverage.settings[p, 0], coverage.settings[p, 3]
    lacking, worn, some = 0.0, 0.0, 0
    for r in range(aspects.starts[p], aspects.starts[p + 1]):
        z = aspects.aspect[r]
        if counts[z] == 0.0:
            lacking += need[z]
        else:
            worn += patience[z - shift, int(counts[z])]
            some += 1
    value = np.exp(worn / max(some, 1) - lacking)
    for i in range(n):
        row = offset + coverage.rows[p, b, i]
        lacks, wears, has = lacking, worn, some
        for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
            z = regions[e]
            if need[z] != 0.0 and values[e] > 0.0:
                count = int(counts[z])
                wears += patience[z - shift, count + 1]
                if count == 0:
                    lacks -= need[z]
                    has += 1
                else:
                    wears -= patience[z - shift, count]
        gain[i] = np.exp(wears / max(has, 1) - lacks) - value


@_compiled
def _update_counts(coverage, counts, aspects, b, p, pick):
    """Count the aspects of a pick."""
    if aspects is None:
        return
    row = coverage.settings[p, 0] + coverage.rows[p, b, pick]
    for e in range(coverage.pointers[row], coverage.pointers[row + 1]):
        if coverage.values[e] > 0.0:
            counts[coverage.regions[e]] += 1.0


@_compiled
def _count_aspect_lines(shape, place, settings, seats, need):
    """Return how many lines `_fill_aspect_shares` needs for a user."""
    if seats is None:
        return 1
    lines = 1
    for t in range(len(shape)):
        if shape[t] == SEATS or shape[t] == COUNTS:
            p = place[t]
            for z in range(settings[p - 1, 2] if p > 0 else 0, settings[p, 2]):
                lines += need[z] != 0.0
    return lines


@_compiled
def _fill_gains_by_slot(by_slot, b, p, step, n, gain):
    """Set the gains of a slot."""
    if by_slot is None:
        return
    for i in range(n):
        gain[i] = by_slot[p, b, step, i]


@_compiled
def _never_increases(slots, k):
    """Return whether no slot has a larger weight than the slot before it."""
    falls = True
    for r in range(1, k):
        falls = falls and slots[r] <= slots[r - 1]
    return falls


@_compiled
def _init_volume(volume, state, b, p, n):
    """Set the residuals with an empty slate."""
    if volume is None:
        return
    diagonal, residual, ridge, first = state.diagonal, state.residual, volume.ridge[p], volume.settings[p, 4]
    for i in range(n):
        diagonal[p, i] = (1.0 - ridge) * volume.squares[first + volume.rows[p, b, i]] + ridge
        residual[p, i], state.met[p, i], state.exact[p, i] = diagonal[p, i], 0, -1


@_compiled
def _holds_all_picks(volume, p, k):
    """Return whether the window of term p holds k picks."""
    return volume is not None and volume.settings[p, 3] >= k


@_compiled
def _project_candidate_in_double(volume, state, b, p, last, i):
    """Compute the row of candidate i up to the pick held at `last` from dot products in double precision."""
    vectors, rows, ridge = volume.vectors, volume.rows[p, b], volume.ridge[p]
    basis, held, roots, exact, exact_residual = state.basis, state.held, state.roots, state.exact, state.exact_residual
    offset, d, width, most = volume.settings[p, 0], volume.settings[p, 1], state.residual.shape[1], held.shape[1]
    row, own = offset + rows[i] * d, (p * width + i) * most
    if exact[p, i] < 0:
        exact[p, i], exact_residual[p, i] = 0, state.diagonal[p, i]
    left = exact_residual[p, i]
    for s in range(exact[p, i], last):
        part = 0.0
        if roots[p, s] > 0.0:
            pick = held[p, s]
            part = (1.0 - ridge) * _dot_in_double(vectors, offset + rows[pick] * d, row, d)
            part -= _dot_in_basis(basis, (p * width + pick) * most, own, s)
            part /= roots[p, s]
        basis[own + s] = part
        left -= part * part
    exact[p, i], exact_residual[p, i], state.residual[p, i], state.met[p, i] = last, left, left, last


@_compiled
def _compute_exact_residual(volume, state, b, p, last, i):
    """Return the squared residual of candidate i, from rows of it and of the held picks in double precision.

    A dot product in single precision has an error of about 1e-7, which grows a thousandfold when it is divided by the
    root of a small residual: the residual of a candidate that the slate spans would be that error.
    """
    residual, roots = state.residual, state.roots
    for s in range(last):
        pick = state.held[p, s]
        if state.exact[p, pick] < s:
            _project_candidate_in_double(volume, state, b, p, s, pick)
            roots[p, s] = np.sqrt(residual[p, pick]) if residual[p, pick] > ZERO_RESIDUAL else 0.0
    _project_candidate_in_double(volume, state, b, p, last, i)
    return residual[p, i]


@compile_kernel(fastmath={*EXACT_FASTMATH, "contract"}, count_references=False, inline=True)
def _project_four(basis, roots, own, others, first, end, parts):
    """Store the entries of a candidate's row from `first` up to `end`, four at most, and return four: 0 beyond `end`.

    `parts` are the products of the candidate with these picks, `own` and `others` where the rows of the candidate and
    the picks begin. Earlier entries are taken off in the order of the picks, whatever was computed at once: an entry
    has the same bits wherever a row was left off.
    """
    w, x, y, z = parts
    a, b, c = np.uintp(others[0]), np.uintp(others[1]), np.uintp(others[2])
    e, row, at = np.uintp(others[3]), np.uintp(own), np.uintp(first)
    for s in range(np.uintp(first)):
        known = basis[row + s]
        w -= known * basis[a + s]
        x -= known * basis[b + s]
        y -= known * basis[c + s]
        z -= known * basis[e + s]
    one, two, three = np.uintp(1), np.uintp(2), np.uintp(3)
    w = w / roots[at] if roots[at] > 0.0 else 0.0
    basis[row + at] = w
    if first + 1 < end:
        x -= w * basis[b + at]
        x = x / roots[at + one] if roots[at + one] > 0.0 else 0.0
        basis[row + at + one] = x
    else:
        x = 0.0
    if first + 2 < end:
        y = (y - w * basis[c + at]) - x * basis[c + at + one]
        y = y / roots[at + two] if roots[at + two] > 0.0 else 0.0
        basis[row + at + two] = y
    else:
        y = 0.0
    if first + 3 < end:
        z = ((z - w * basis[e + at]) - x * basis[e + at + one]) - y * basis[e + at + two]
        z = z / roots[at + three] if roots[at + three] > 0.0 else 0.0
        basis[row + at + three] = z
    else:
        z = 0.0
    return w, x, y, z


@_inlined
def _project_candidate(volume, state, b, p, last, i):
    """Project the held picks out of candidate i, and return its squared residual."""
    at, own, most = np.uintp(p), np.uintp(i), state.held.shape[1]
    vectors, rows, held = volume.vectors, volume.rows[at, np.uintp(b)], state.held[at]
    offset, d, share = volume.settings[at, 0], volume.settings[at, 1], 1.0 - volume.ridge[at]
    row, left, first = offset + rows[own] * d, state.residual[at, own], p * state.residual.shape[1]
    for s in range(state.met[at, own], last, AT_ONCE):
        w, x, y, z = _dot_four(vectors, row, _find_four_picks(rows, held, s, last, offset, d), d)
        others = (
            (first + held[np.uintp(s)]) * most,
            (first + held[np.uintp(min(s + 1, last - 1))]) * most,
            (first + held[np.uintp(min(s + 2, last - 1))]) * most,
            (first + held[np.uintp(min(s + 3, last - 1))]) * most,
        )
        parts = (share * w, share * x, share * y, share * z)
        w, x, y, z = _project_four(
            state.basis, state.roots[at], (first + i) * most, others, s, min(s + AT_ONCE, last), parts
        )
        left = (((left - w * w) - x * x) - y * y) - z * z
    state.residual[at, own], state.met[at, own] = left, last
    return left


@_compiled
def _project_anew(volume, state, b, p, last, i):
    """Call `_project_candidate` without inlining it: for pinned picks, and for rows that a window begins anew."""
    _project_candidate(volume, state, b, p, last, i)


@compile_kernel(fastmath={*EXACT_FASTMATH, "contract"}, count_references=False, inline=True)
def _take_off_earlier(basis, pick, rows, last, parts):
    """Return `parts`, the products of a pick with four candidates, less those of the `last` entries of their rows.

    These are taken off as `_project_four` does: an entry has the same bits by both.
    """
    w, x, y, z = parts
    own, a, b, c, e = np.uintp(pick), np.uintp(rows[0]), np.uintp(rows[1]), np.uintp(rows[2]), np.uintp(rows[3])
    for s in range(np.uintp(last)):
        known = basis[own + s]
        w -= known * basis[a + s]
        x -= known * basis[b + s]
        y -= known * basis[c + s]
        z -= known * basis[e + s]
    return w, x, y, z


@_compiled
def _project_last_pick(volume, state, b, p, last, n):
    """Project the last of `last` held picks out of all candidates, which have met those before: four at a time."""
    rows, basis, residual, met = volume.rows[p, b], state.basis, state.residual[p], state.met[p]
    offset, d, share, most = volume.settings[p, 0], volume.settings[p, 1], 1.0 - volume.ridge[p], state.held.shape[1]
    pick, root, first = state.held[p, last - 1], state.roots[p, last - 1], p * state.residual.shape[1]
    for i in range(0, n, AT_ONCE):
        w, x, y, z = _dot_four(volume.vectors, offset + rows[pick] * d, _find_four(rows, i, n, offset, d), d)
        places = (
            (first + i) * most,
            (first + min(i + 1, n - 1)) * most,
            (first + min(i + 2, n - 1)) * most,
            (first + min(i + 3, n - 1)) * most,
        )
        parts = (share * w, share * x, share * y, share * z)
        parts = _take_off_earlier(basis, (first + pick) * most, places, last - 1, parts)
        for j in range(min(AT_ONCE, n - i)):
            part = parts[j] / root if root > 0.0 else 0.0
            basis[places[j] + last - 1] = part
            residual[i + j] -= part * part
            met[i + j] = last


@_inlined
def _update_window(volume, state, b, p, slate, step, n):
    """Hold the last `window` picks; when the oldest one leaves, start the rows of all candidates anew."""
    if volume is None:
        return
    held, roots, residual, exact = state.held, state.roots, state.residual, state.exact
    first = max(0, step - volume.settings[p, 3])
    if first > 0:
        for i in range(n):
            residual[p, i], state.met[p, i], exact[p, i] = state.diagonal[p, i], 0, -1
    for s in range(0 if first > 0 else max(0, step - 1), step - first):
        held[p, s] = slate[first + s]
        if state.met[p, held[p, s]] < s:
            _project_anew(volume, state, b, p, s, held[p, s])
        if s > 0 and (residual[p, held[p, s]] < RECOMPUTE_BELOW or exact[p, held[p, s - 1]] >= 0):
            _compute_exact_residual(volume, state, b, p, s, held[p, s])
        square = residual[p, held[p, s]]
        roots[p, s] = np.sqrt(square) if square > ZERO_RESIDUAL else 0.0


@_inlined
def _get_quality(volume, p, b, i):
    """Return the quality of candidate i, or that of all candidates if no term has one."""
    if volume.quality.shape[1] > 0:
        return volume.quality[np.uintp(p), np.uintp(b), np.uintp(i)]
    return 0.0 if volume.settings[np.uintp(p), 2] == LOG_DETERMINANT else 1.0


@_inlined
def _compute_volume_gain(volume, state, b, p, last, i):
    """Return the gain of candidate i, which has met all `last` picks held, from its residual."""
    left = state.residual[np.uintp(p), np.uintp(i)]
    if left < RECOMPUTE_BELOW:
        left = _compute_exact_residual(volume, state, b, p, last, i)
    if volume.settings[np.uintp(p), 2] == LOG_DETERMINANT:
        return _get_quality(volume, p, b, i) + np.log(max(left, RESIDUAL_FLOOR))
    return _get_quality(volume, p, b, i) * np.sqrt(max(left, 0.0))


@_inlined
def _compute_volume_bound(volume, state, b, p, before, i, bound):
    """Return a bound of the gain of candidate i, whose squared residual was `before` when its gain was up to `bound`.

    log x is at most 2 (x - 1) / (x + 1) for x up to 1, here the part of the residual that is left. A residual that is
    recomputed before it counts lowers no bound.
    """
    most, left = max(before, RECOMPUTE_BELOW), max(state.residual[np.uintp(p), np.uintp(i)], RECOMPUTE_BELOW)
    if volume.settings[np.uintp(p), 2] == LOG_DETERMINANT:
        return bound + 2.0 * (left - most) / (left + most)
    return _get_quality(volume, p, b, i) * np.sqrt(left)


@_compiled
def _fill_volume_gains(volume, state, b, p, step, n, alive, gain):
    """Set the gains of all candidates that are left; up to a full window each has met all picks except the last."""
    if volume is None:
        return
    window = volume.settings[p, 3]
    last = min(step, window)
    if 0 < step <= window:
        _project_last_pick(volume, state, b, p, last, n)
    for i in range(n):
        if alive[i]:
            if step > window:
                _project_anew(volume, state, b, p, last, i)
            gain[i] = _compute_volume_gain(volume, state, b, p, last, i)


@_compiled
def _fill_volume_bounds(volume, state, b, p, n, gain):
    """Set an upper bound of each gain: log x is at most x - 1, and close to it for vectors of nearly unit length."""
    if volume is None:
        return
    diagonal = state.diagonal
    if volume.settings[p, 2] == LOG_DETERMINANT:
        for i in range(n):
            gain[i] = _get_quality(volume, p, b, i) + (diagonal[p, i] - 1.0)
    else:
        for i in range(n):
            gain[i] = _get_quality(volume, p, b, i) * np.sqrt(max(diagonal[p, i], 0.0))


@_inlined
def _count_chunks(n):
    """Return how many chunks hold n candidates."""
    return (n + CHUNK - 1) // CHUNK


@_inlined
def _update_chunk_top(total, tops, chunk):
    """Set the largest total of a chunk of candidates."""
    most, first = LOWEST_TOTAL, np.uintp(chunk * CHUNK)
    for j in range(CHUNK):
        most = max(most, total[first + np.uintp(j)])
    tops[chunk] = most


@_inlined
def _find_best(total, tops, chunks):
    """Return the first candidate with the largest total."""
    best = 0
    for chunk in range(1, chunks):
        if tops[chunk] > tops[best]:
            best = chunk
    for i in range(best * CHUNK, (best + 1) * CHUNK):
        if total[i] == tops[best]:
            return i
    return 0


@_inlined
def _sum_gains(gain, weight, i):
    """Return the weighted sum of the gains of candidate i."""
    total = 0.0
    for t in range(len(weight)):
        total += weight[t] * gain[np.uintp(t), np.uintp(i)]
    return total


@_inlined
def _advance_volume(volume, state, b, p, bound, step, i, most):
    """Let candidate i meet up to `most` more picks; return a bound of its gain, and whether it has met all of them."""
    if volume is None:
        return bound, True
    until, before = min(state.met[np.uintp(p), np.uintp(i)] + most, step), state.residual[np.uintp(p), np.uintp(i)]
    _project_candidate(volume, state, b, p, until, i)
    return _compute_volume_bound(volume, state, b, p, before, i, bound), until == step


@_inlined
def _finish_volume(volume, state, b, p, bound, step, i):
    """Return the gain of candidate i, which has met all picks."""
    if volume is None:
        return bound
    return _compute_volume_gain(volume, state, b, p, step, i)


@_inlined
def _advance_candidate(inputs, state, weight, slate, b, step, i, most, least):
    """Let candidate i meet up to `most` more picks, set its total, and return whether it has met all of them.

    Its total is exact then if it is at least `least`, and an upper bound otherwise.
    """
    shape, place, bounded, gain = inputs.terms.shape, inputs.terms.place, state.blend.bounded, state.blend.gain
    volume, own, whole, rough = state.volume, np.uintp(i), True, False
    for t in range(len(shape)):
        if bounded[t]:
            p = place[t]
            if shape[t] == VOLUME:
                bound = gain[np.uintp(t), own]
                gain[np.uintp(t), own], met = _advance_volume(inputs.volume, volume, b, p, bound, step, i, most)
                whole, rough = whole and met, True
            elif shape[t] == COVERAGE:
                gain[np.uintp(t), own] = _compute_coverage_gain(inputs.coverage, state.coverage, b, p, step, i)
            elif step > 0:
                until = min(state.spread.met[np.uintp(p), own] + most, step)
                gain[np.uintp(t), own] = _compute_spread_bound(inputs.spread, state.spread, b, p, slate, until, i)
                whole = whole and until == step
    total = _sum_gains(gain, weight, i)
    if rough and whole and total >= least:  # logarithms are for those who could win
        for t in range(len(shape)):
            if bounded[t] and shape[t] == VOLUME:
                bound = gain[np.uintp(t), own]
                gain[np.uintp(t), own] = _finish_volume(inputs.volume, volume, b, place[t], bound, step, i)
        total = _sum_gains(gain, weight, i)
    state.blend.total[own] = total
    return whole


@_inlined
def _list_above(total, least, start, end, listed):
    """List the candidates from `start` to `end` with a total of at least `least`, and return how many."""
    count = 0
    for i in range(np.uintp(start), np.uintp(end)):
        listed[np.uintp(count)] = i
        count += total[i] >= least
    return count


@_inlined
def _find_best_by_bounds(inputs, state, weight, slate, b, step, n, pin):
    """Return the best candidate, where totals are upper bounds: only those above the best so far are recomputed.

    The candidates of a chunk meet a few picks each before one is looked at again: what a processor then does for one
    waits for no result of another. With a `pin`, which is -1 for none, it is the pick, and recomputed alone.
    """
    total, tops, listed, chunks = state.blend.total, state.blend.tops, state.blend.listed, _count_chunks(n)
    slack = 0.0
    for t in range(len(weight)):
        slack += BOUND_SLACK * abs(weight[t])
    first = pin if pin >= 0 else min(_find_best(total, tops, chunks), n - 1)
    pick, best, worth, least = first, LOWEST_TOTAL, LOWEST_TOTAL, LOWEST_TOTAL
    for turn in range(-1, 0 if pin >= 0 else chunks):  # the first turn is that of the largest bound alone
        most = AT_ONCE
        if turn < 0:
            listed[0], count, most = first, 1, step
        elif tops[turn] < least:
            continue
        else:
            count = _list_above(total, least, turn * CHUNK, min(turn * CHUNK + CHUNK, n), listed)
        while count > 0:
            left = 0
            for e in range(count):
                i = listed[np.uintp(e)]
                if turn < 0 or total[np.uintp(i)] >= least:
                    if not _advance_candidate(inputs, state, weight, slate, b, step, i, most, least):
                        listed[np.uintp(left)] = i
                        left += 1
                    elif turn < 0 or total[np.uintp(i)] > best or (total[np.uintp(i)] == best and i < pick):
                        pick, best = i, total[np.uintp(i)]
                        least = best - BOUND_SLACK * abs(best) - slack
            count = left
        if turn < 0:  # until the end it is no candidate of its chunk
            worth, total[first] = best, LOWEST_TOTAL
        _update_chunk_top(total, tops, first // CHUNK if turn < 0 else turn)
    total[first] = worth
    tops[first // CHUNK] = max(tops[first // CHUNK], worth)
    return pick


@_compiled
def _find_first(mask, n):
    """Return the first candidate of the mask: comparisons of NaN can choose none, or one that is not in it."""
    for i in range(n):
        if mask[i]:
            return i
    return 0


@_compiled
def _compute_draw_weight(total, i, best, temperature):
    """Return the unnormalized probability of candidate i under the softmax."""
    if temperature > 0.0:
        return np.exp((total[i] - total[best]) / temperature)
    return 1.0 if i == best else 0.0


@_compiled
def _draw_pick(total, tops, mask, n, temperature, epsilon, uniform):
    """Draw a candidate of the mask, and return it with its log-probability.

    With probability `epsilon` all candidates are equally likely, otherwise they follow the softmax of
    total / temperature; temperature 0 takes the best one.
    """
    best, mass, count = min(_find_best(total, tops, _count_chunks(n)), n - 1), 0.0, 0
    for i in range(n):
        if mask[i]:
            count += 1
            mass += _compute_draw_weight(total, i, best, temperature)
    pick, chance, left = -1, 1.0, uniform * mass
    for i in range(n):
        if mask[i] and left >= 0.0:
            share = (1.0 - epsilon) * _compute_draw_weight(total, i, best, temperature) + epsilon * mass / count
            if share > 0.0:
                pick, chance = i, share
                left -= share
    return pick, np.log(chance / mass)


@_compiled
def _compute_deviation(gain, alive, n):
    """Return the standard deviation of the gains of the candidates that are left."""
    count, mean, square = 0, 0.0, 0.0
    for i in range(n):
        if alive[i]:
            count += 1
            apart = gain[i] - mean
            mean += apart / count
            square += apart * (gain[i] - mean)
    return np.sqrt(square / max(count, 1))


@_compiled
def _count_in_groups(rules, b, i, counts):
    """Count candidate i in its groups."""
    row = rules.codes[b, i]
    for e in range(rules.pointers[row], rules.pointers[row + 1]):
        counts[rules.groups[e]] += 1


@_compiled
def _apply_exclusions_and_pins(rules, slots, alive, b, n):
    """Remove excluded candidates, and reserve pinned ones, which their groups count from the start."""
    pins, kept, counts = rules.pins, slots.kept, slots.counts
    counts[:] = 0
    for i in range(n):
        alive[i], kept[i] = not rules.closed[b, i], False
    for r in range(pins.shape[1]):
        if pins[b, r] >= 0:
            kept[pins[b, r]] = True
            _count_in_groups(rules, b, pins[b, r], counts)


@_compiled
def _find_pinned(pins, b, slot, alive):
    """Return the candidate that is pinned to the slot and not picked yet, or -1."""
    pin = pins[b, slot]
    return pin if pin >= 0 and alive[pin] else -1


@_compiled
def _find_next_pinned(pins, b, slot, alive):
    """Return `_find_pinned` of the first slot from `slot` on that has such a candidate, or -1."""
    for r in range(slot, pins.shape[1]):
        if _find_pinned(pins, b, r, alive) >= 0:
            return _find_pinned(pins, b, r, alive)
    return -1


@_compiled
def _count_lacking_groups(rules, b, i, lacks):
    """Return how many groups that need picks candidate i belongs to."""
    row, served = rules.codes[b, i], 0
    for e in range(rules.pointers[row], rules.pointers[row + 1]):
        served += lacks[rules.groups[e]] > 0
    return served


@_compiled
def _mark_allowed(rules, slots, alive, b, slot, n):
    """Set `free` for the slot, and return whether any candidate is left that no pin and no full group excludes.

    If the groups need as many picks as there are slots left, a pick must belong to enough of these groups for all to be
    filled, or to as many as any candidate does.
    """
    pointers, groups = rules.pointers, rules.groups
    free, counts, lacks = slots.free, slots.counts, slots.lacks
    lacks[:] = 0
    some = False
    for i in range(n):
        row = rules.codes[b, i]
        free[i] = alive[i] and not slots.kept[i]
        for e in range(pointers[row], pointers[row + 1]):
            free[i] = free[i] and counts[groups[e]] < rules.most[groups[e]]
        some = some or free[i]
        if free[i]:
            for e in range(pointers[row], pointers[row + 1]):
                lacks[groups[e]] += 1  # at first: how many candidates the group has left
    lacking, left, best = 0, 0, 0
    for g in range(len(counts)):
        lacks[g] = max(0, min(lacks[g], rules.least[g] - counts[g]))
        lacking += lacks[g]
    for r in range(slot, rules.pins.shape[1]):
        left += _find_pinned(rules.pins, b, r, alive) < 0
    if lacking < left:
        return some
    for i in range(n):
        if free[i]:
            best = max(best, _count_lacking_groups(rules, b, i, lacks))
    wanted = min(best, (lacking + left - 1) // left)
    for i in range(n):
        free[i] = free[i] and _count_lacking_groups(rules, b, i, lacks) >= wanted
    return some


@_inlined
def _init_user(inputs, rules, state, weight, draws, every, b, n):
    """Set everything that depends on the user and not on the slate."""
    terms, spread, coverage, volume = inputs.terms, inputs.spread, inputs.coverage, inputs.volume
    shape, place, bounded, gain = terms.shape, terms.place, state.blend.bounded, state.blend.gain
    similarity, met = state.spread.similarity, state.spread.met
    state.blend.alive[:n], state.blend.total[n : _count_chunks(n) * CHUNK] = True, LOWEST_TOTAL
    if len(rules.codes) > 0:
        _apply_exclusions_and_pins(rules, state.slots, state.blend.alive, b, n)
    for p in range(len(coverage.settings)):
        _init_coverage(coverage, state.coverage, b, p)
    lines = 1
    for t in range(len(shape)):
        p = place[t]
        bounded[t] = False
        if shape[t] == MODULAR:
            for i in range(n):
                gain[t, i] = terms.modular[p, b, i]
        elif shape[t] == SPREAD:
            agg = spread.settings[p, 2]
            bounded[t] = not every and weight[t] >= 0.0 and agg == MAX
            met[p, :n] = 0
            for i in range(n):
                similarity[p, i] = LOWEST_TOTAL if agg == MAX else 0.0  # the maximum and the sum of nothing
            if spread.settings[p, 3]:
                for i in range(n):
                    similarity[p, i] = spread.start[p, b, i]
        elif shape[t] == COVERAGE:
            bounded[t] = not every and weight[t] >= 0.0 and _never_increases(coverage.slots[p], draws.k)
        elif shape[t] == VOLUME:
            bounded[t] = not every and weight[t] >= 0.0 and _holds_all_picks(volume, p, min(draws.k, n))
            _init_volume(volume, state.volume, b, p, n)
        elif shape[t] == SEATS or shape[t] == COUNTS:
            lines = _fill_aspect_shares(coverage, state.aspects, b, p, lines, n)


@_inlined
def _is_filled_twice(spread, p, n, k):
    """Return whether all gains of a bounded term are computed for the second pick too, where no old one bounds them.

    So they are where candidates are few: bounds save less at the second pick than looking at everybody costs.
    """
    return n <= FULL_SCAN_RATIO * k or not spread.settings[p, 3]


@_inlined
def _update_gains(inputs, state, weight, slate, b, step, n, anew):
    """Recompute the gains that are not bounded, and the totals if `anew`."""
    shape, place, by_slot = inputs.terms.shape, inputs.terms.place, inputs.terms.by_slot
    spread, coverage, volume = inputs.spread, inputs.coverage, inputs.volume
    bounded, alive, gain, total = state.blend.bounded, state.blend.alive, state.blend.gain, state.blend.total
    if anew:
        for i in range(n):
            total[i] = 0.0
    for t in range(len(shape)):
        p = place[t]
        if shape[t] == SPREAD:
            if not bounded[t] or step == 0 or (step == 1 and _is_filled_twice(spread, p, n, len(slate))):
                _fill_spread_gains(spread, state.spread, b, p, slate, step, n, gain[t])
        elif shape[t] == VOLUME:
            _update_window(volume, state.volume, b, p, slate, step, n)
            if not bounded[t]:
                _fill_volume_gains(volume, state.volume, b, p, step, n, alive, gain[t])
            elif step == 0:
                _fill_volume_bounds(volume, state.volume, b, p, n, gain[t])
        elif shape[t] == COVERAGE:
            if not bounded[t] or step == 0:
                for i in range(n):
                    if alive[i]:
                        gain[t, i] = _compute_coverage_gain(coverage, state.coverage, b, p, step, i)
        elif shape[t] == SEATS:
            _fill_seat_gains(coverage, state.coverage, state.aspects, b, p, n, gain[t])
        elif shape[t] == COUNTS:
            _fill_count_gains(coverage, state.coverage, state.aspects, b, p, n, gain[t])
        elif shape[t] == BY_SLOT:
            _fill_gains_by_slot(by_slot, b, p, step, n, gain[t])
        if anew:
            for i in range(n):
                total[i] += weight[t] * gain[t, i]


@_inlined
def _exclude_from_totals(state, slate, guarded, step, n, anew):
    """Give the picks so far, and candidates that are not allowed in the slot, the lowest total; update the chunks."""
    total, tops, free = state.blend.total, state.blend.tops, state.slots.free
    for s in range(0 if anew else step - 1, step):
        total[slate[s]] = LOWEST_TOTAL
        _update_chunk_top(total, tops, slate[s] // CHUNK)
    if guarded:
        for i in range(n):
            if not free[i]:
                total[i] = LOWEST_TOTAL
    if anew:
        for chunk in range(_count_chunks(n)):
            _update_chunk_top(total, tops, chunk)


@_inlined
def _apply_pick(inputs, state, weight, contributions, b, step, pick):
    """Store what each term adds with the pick, and update what the slate covers."""
    shape, place, coverage, gain = inputs.terms.shape, inputs.terms.place, inputs.coverage, state.blend.gain
    for t in range(len(shape)):
        p = place[t]
        contributions[b, step, t] = weight[t] * gain[t, pick]
        if shape[t] == COVERAGE:
            _add_to_coverage(coverage, state.coverage, b, p, step, pick)
        elif shape[t] == SEATS:
            _update_seats(coverage, state.coverage.covered, state.aspects, b, p, pick)
        elif shape[t] == COUNTS:
            _update_counts(coverage, state.coverage.covered, state.aspects, b, p, pick)


@_compiled
def _fill_picks(lengths, weights, inputs, rules, draws, output, state):
    """Fill `output` as `pick_greedily` says, without allocation: `state` holds the arrays."""
    inputs, rules, draws, output = _name_inputs(inputs), RuleInputs(*rules), DrawSettings(*draws), KernelOutput(*output)
    shape, guarded, drawn = inputs.terms.shape, len(rules.codes) > 0, draws.temperature > 0.0 or draws.epsilon > 0.0
    bounded, gain, total, tops = state.blend.bounded, state.blend.gain, state.blend.total, state.blend.tops
    alive, kept, free = state.blend.alive, state.slots.kept, state.slots.free
    every = draws.follow or drawn
    for b in range(len(lengths)):
        n, weight, slate = lengths[b], weights[b], output.picks[b]
        _init_user(inputs, rules, state, weight, draws, every, b, n)
        some, same, settled = False, not every and not guarded, 1
        for t in range(len(shape)):
            some = some or bounded[t]
            same = same and (bounded[t] or shape[t] == MODULAR)
            if shape[t] == SPREAD and _is_filled_twice(inputs.spread, inputs.terms.place[t], n, len(slate)):
                settled = 2
        for step in range(min(draws.k, n)):
            pin = -1
            if guarded:
                pin = _find_pinned(rules.pins, b, step, alive)
                if pin < 0 and not _mark_allowed(rules, state.slots, alive, b, step, n):
                    pin = _find_next_pinned(rules.pins, b, step, alive)
                    if pin < 0:
                        break
            anew = step < settled or not same  # otherwise totals stay as they are, except for recomputed candidates
            _update_gains(inputs, state, weight, slate, b, step, n, anew)
            _exclude_from_totals(state, slate, guarded, step, n, anew)
            if some:
                pick = _find_best_by_bounds(inputs, state, weight, slate, b, step, n, pin)
            elif pin >= 0:
                pick = pin
            elif draws.follow:
                pick = step
                for t in range(len(shape)):
                    output.deviations[b, t] += _compute_deviation(gain[t], alive, n) / min(draws.k, n)
            elif drawn:
                mask, uniform = free if guarded else alive, draws.uniforms[b, step]
                pick, chance = _draw_pick(total, tops, mask, n, draws.temperature, draws.epsilon, uniform)
                output.log_propensity[b, step] = chance
            else:
                pick = _find_best(total, tops, _count_chunks(n))
            if not 0 <= pick < n or not alive[pick]:
                pick = _find_first(alive, n)
            if guarded and pin < 0 and not free[pick]:
                pick = _find_first(free, n)
            slate[step] = pick
            alive[pick] = False
            if guarded and not kept[pick]:
                _count_in_groups(rules, b, pick, state.slots.counts)
            _apply_pick(inputs, state, weight, output.contributions, b, step, pick)


@compile_kernel(fastmath=False, count_references=False)
def _is_finite(contributions):
    """Return whether all contributions (B, k, T), and the sum of each pick's, are finite in single precision."""
    sound = True
    for b in range(len(contributions)):
        for r in range(contributions.shape[1]):
            total = np.float32(0.0)
            for t in range(contributions.shape[2]):
                total += contributions[b, r, t]
            sound = sound and np.isfinite(total)
    return sound


@_inlined
def _name_inputs(inputs):
    """Return the plain tuples of `KernelInputs.to_tuples` as named ones."""
    return KernelInputs(
        TermInputs(*inputs[0]), SpreadInputs(*inputs[1]), CoverageInputs(*inputs[2]), _name_volume(inputs[3])
    )


@_inlined
def _name_volume(volume):
    return None if volume is None else VolumeInputs(*volume)


@_compiled
def _count_volumes(volume):
    return 0 if volume is None else len(volume.settings)


@_compiled
def _measure_block(lengths, inputs, rules, output):
    """Return the sizes of the arrays that the block needs."""
    named = _name_inputs(inputs)
    terms, coverage = named.terms, named.coverage
    width, lines = 0, 1
    for b in range(len(lengths)):
        width = max(width, lengths[b])
        needed = _count_aspect_lines(terms.shape, terms.place, coverage.settings, coverage.seats, coverage.need[b])
        lines = max(lines, needed)
    return BlockSizes(
        candidates=width,
        picks=max(KernelOutput(*output).picks.shape[1], 1),
        terms=len(terms.shape),
        spreads=len(named.spread.settings),
        coverages=len(coverage.settings),
        volumes=_count_volumes(named.volume),
        regions=coverage.need.shape[1],
        lines=lines,
        groups=len(RuleInputs(*rules).least),
    )


@compile_kernel(fastmath=EXACT_FASTMATH)
def _make_volume_state(sizes, volume):
    if volume is None:
        return None
    per_volume = (sizes.volumes, sizes.candidates)
    return VolumeState(
        diagonal=np.zeros(per_volume),
        residual=np.zeros(per_volume),
        met=np.zeros(per_volume, np.int64),
        basis=np.zeros(sizes.volumes * sizes.candidates * sizes.picks),
        held=np.zeros((sizes.volumes, sizes.picks), np.int64),
        roots=np.zeros((sizes.volumes, sizes.picks)),
        exact=np.zeros(per_volume, np.int64),
        exact_residual=np.zeros(per_volume),
    )


@compile_kernel(fastmath=EXACT_FASTMATH)
def _make_aspect_state(sizes, seats):
    if seats is None:
        return None
    return AspectState(
        starts=np.zeros(sizes.coverages + 1, np.int64),
        line=np.zeros(sizes.regions, np.int64),
        aspect=np.zeros(sizes.lines, np.int64),
        share=np.zeros((sizes.lines, sizes.candidates), np.float32),
    )


@compile_kernel(fastmath=EXACT_FASTMATH)
def _make_state(sizes, seats, volume):
    """Return arrays of zeros."""
    chunks, per_spread = _count_chunks(sizes.candidates), (sizes.spreads, sizes.candidates)
    blend = BlendState(
        gain=np.zeros((sizes.terms, sizes.candidates)),
        total=np.zeros(chunks * CHUNK),
        tops=np.zeros(chunks),
        listed=np.zeros(CHUNK, np.int64),
        alive=np.zeros(sizes.candidates, np.bool_),
        bounded=np.zeros(sizes.terms, np.bool_),
    )
    slots = SlotState(
        kept=np.zeros(sizes.candidates, np.bool_),
        free=np.zeros(sizes.candidates, np.bool_),
        counts=np.zeros(sizes.groups, np.int64),
        lacks=np.zeros(sizes.groups, np.int64),
    )
    coverage = CoverageState(covered=np.zeros(sizes.regions), worth=np.zeros(sizes.regions))
    spread = SpreadState(similarity=np.zeros(per_spread), met=np.zeros(per_spread, np.int64))
    volume, aspects = _make_volume_state(sizes, volume), _make_aspect_state(sizes, seats)
    return KernelState(blend, slots, coverage, spread, volume, aspects)


@compile_kernel(fastmath=EXACT_FASTMATH)
def pick_greedily(lengths, weights, inputs, rules, draws, output):
    """Fill `output` with slates of k picks for B users, and return whether all gains are finite.

    Picks are distinct candidates even if gains are not finite. With `temperature` or `epsilon` above 0, picks that are
    not pinned are drawn with `uniforms`. With `follow`, the picks are the candidates in their own order, and
    `deviations` are filled.

    `lengths` (B,) int64 are candidates per user, `weights` (B, T) float64. The other arguments are the fields of
    `KernelInputs`, `RuleInputs`, `DrawSettings` and `KernelOutput`, as plain tuples: for named tuples, Numba needs
    microseconds more per call to look up their types.
    """
    state = _make_state(_measure_block(lengths, inputs, rules, output), inputs[2][1], inputs[3])
    _fill_picks(lengths, weights, inputs, rules, draws, output, state)
    return _is_finite(output[1])
