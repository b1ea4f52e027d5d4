"""The greedy rules in plain NumPy: one user, every gain computed from the whole slate.

This is what the compiled kernel is checked against; it is written to be read.
"""

from collections.abc import Callable, Sequence

import numpy as np

from recsys.kernels.greedy import RESIDUAL_FLOOR, TIE_FACTOR, ZERO_RESIDUAL
from recsys.kernels.inputs import NO_CAP
from recsys.types import Counts, Coverage, Modular, Pool, Rule, Seats, Spread, Term
from recsys.types.arrays import Anys, Doubles


def compute_gains(term: Term, user: int, slate: Sequence[int], n: int) -> Doubles:
    """Return the marginal gain of each of the n candidates of `user`, given the positions in `slate`."""
    if isinstance(term, Modular):
        gain = term.gain[user] if term.gain.ndim == 2 else term.gain[user, len(slate)]
        return np.asarray(gain[:n], dtype=np.float64)
    if isinstance(term, Spread):
        return np.array([_compute_spread_gain(term, user, slate, i) for i in range(n)])
    if isinstance(term, Coverage):
        before = _compute_coverage(term, user, slate)
        value = _compute_coverage_value(term, user, before)
        return np.array(
            [
                _compute_coverage_value(term, user, _add_to_coverage(term, user, before, i, len(slate))) - value
                for i in range(n)
            ]
        )
    if isinstance(term, Seats):
        return _compute_seat_gains(term, user, slate, n)
    if isinstance(term, Counts):
        value = _compute_count_value(term, user, slate)
        return np.array([_compute_count_value(term, user, [*slate, i]) - value for i in range(n)])
    kernel = _compute_dpp_kernel(term.vectors[term.rows[user, :n]], term.ridge)
    quality = np.ones(n) if term.quality is None else term.quality[user, :n].astype(np.float64)
    recent = list(slate if term.window is None else slate[max(0, len(slate) - term.window) :])
    residual = np.array([_compute_residual(kernel, recent, i) for i in range(n)])
    if term.form == "log":
        return np.asarray(2 * np.log(quality) + np.log(np.maximum(residual, RESIDUAL_FLOOR)))
    return np.asarray(quality * np.sqrt(np.maximum(residual, 0.0)))


def pick_greedily(terms: Sequence[Term], weights: Sequence[float], user: int, n: int, k: int) -> list[int]:
    """Return k positions: each time the candidate with the largest blended gain, the first of equals."""
    slate: list[int] = []
    while len(slate) < min(k, n):
        total = sum(w * compute_gains(term, user, slate, n) for term, w in zip(terms, weights, strict=True))
        total = np.where(np.isin(np.arange(n), slate), -np.inf, total)
        slate.append(int(np.argmax(total)))
    return slate


def find_allowed(rules: Sequence[Rule], pool: Pool, user: int, slate: Sequence[int], k: int) -> list[int]:
    """Return which candidates of `user` may take the next slot of k, given the positions in `slate`."""
    items = [int(item) for item in pool.items[user] if item >= 0]
    shut = {
        i for i, item in enumerate(items) if any(r.excluded_items is not None and r.excluded_items[item] for r in rules)
    }
    pins = {}
    for rule in rules:
        for r, item in enumerate([] if rule.pins is None else rule.pins[user].tolist()):
            if item in items and items.index(item) not in shut:
                pins[r] = items.index(item)
    waiting = {r: i for r, i in sorted(pins.items()) if i not in slate}
    if len(slate) in waiting:
        return [waiting[len(slate)]]
    groups = [(r, g) for r in rules if r.groups is not None for g in range(r.groups.shape[1])]
    members = [{i for i, item in enumerate(items) if r.groups[item, g] > 0} for r, g in groups]  # type: ignore[index]
    counts = [len(who & {*slate, *pins.values()}) for who in members]
    full = {
        i for (r, g), who, n in zip(groups, members, counts, strict=True) for i in who
        if r.max_picks is not None and n >= r.max_picks[g]
    }  # fmt: skip
    free = [i for i in range(len(items)) if i not in {*slate, *shut, *pins.values(), *full}]
    if not free:
        return list(waiting.values())[:1]
    needs = [0 if r.min_picks is None else int(r.min_picks[g]) - n for (r, g), n in zip(groups, counts, strict=True)]
    lacks = [max(0, min(need, len(who & set(free)))) for need, who in zip(needs, members, strict=True)]
    left = sum(r not in waiting for r in range(len(slate), k))
    if sum(lacks) < left:
        return free
    serves = {i: sum(i in who for who, lack in zip(members, lacks, strict=True) if lack) for i in free}
    wanted = min(max(serves.values()), -(-sum(lacks) // left))
    return [i for i in free if serves[i] >= wanted]


def _compute_spread_gain(term: Spread, user: int, slate: Sequence[int], i: int) -> float:
    vectors = term.vectors[term.rows[user]].astype(np.float64)
    sims = [float(vectors[i] @ vectors[j]) for j in slate]
    if term.start is not None:
        sims.append(float(term.start[user, i]))
    if not sims:
        return term.empty
    if term.agg == "sum":
        return sum(1 - s for s in sims)
    return 1 - (max(sims) if term.agg == "max" else sum(sims) / len(sims))


def _compute_coverage(term: Coverage, user: int, slate: Sequence[int]) -> Doubles:
    covered = np.zeros(term.coverage.shape[1]) if term.start is None else term.start[user].astype(np.float64)
    for slot, i in enumerate(slate):
        covered = _add_to_coverage(term, user, covered, i, slot)
    return covered


def _add_to_coverage(term: Coverage, user: int, covered: Doubles, i: int, slot: int) -> Doubles:
    row = term.coverage[[term.rows[user, i]]].toarray()[0].astype(np.float64)
    share = row * (1.0 if term.slots is None else term.slots[slot])
    return np.asarray(np.maximum(covered, share) if term.phi == "max" else covered + share)


def _compute_coverage_value(term: Coverage, user: int, covered: Doubles) -> float:
    cap = NO_CAP if term.cap is None else term.cap[user]
    wanted = term.need[user] > 0
    phis: dict[str, Callable[[Doubles], Doubles]] = {
        "linear": lambda c: np.minimum(c, cap),
        "log": lambda c: np.log(np.where(wanted, c, 1.0)),
        "exp": lambda c: 1 - np.exp(-c),
        "sqrt": np.sqrt,
        "max": lambda c: c,
    }
    return float(np.where(wanted, term.need[user] * phis[term.phi](covered), 0.0).sum())


def _compute_seat_gains(term: Seats, user: int, slate: Sequence[int], n: int) -> Doubles:
    worth = term.coverage[term.rows[user, :n]].toarray().astype(np.float64)
    seats = np.zeros(worth.shape[1])
    for i in slate:
        seats += worth[i] / worth[i].sum() if worth[i].any() else 0.0
    quotients = term.need[user] / (term.divisor * seats + 1)
    due = np.argmax(quotients >= TIE_FACTOR * quotients.max())
    focus = np.where(np.arange(len(quotients)) == due, term.focus, 1 - term.focus)
    return np.asarray(worth @ (focus * quotients))


def _compute_count_value(term: Counts, user: int, slate: Sequence[int]) -> float:
    has = term.coverage[term.rows[user, list(slate)]].toarray() > 0
    counts, wanted = has.sum(axis=0), term.need[user] > 0
    some = np.flatnonzero(wanted & (counts > 0))
    worn = term.patience[user, some, counts[some]].mean() if len(some) else 0.0
    return float(np.exp(worn - term.need[user, wanted & (counts == 0)].sum()))


def _compute_dpp_kernel(vectors: Anys, ridge: float) -> Doubles:
    vectors = vectors.astype(np.float64)
    return np.asarray((1 - ridge) * vectors @ vectors.T + ridge * np.eye(len(vectors)))


def _compute_residual(kernel: Doubles, slate: Sequence[int], i: int) -> float:
    """Return K_ii - K_iS K_SS^-1 K_Si: the squared residual of i after projecting the slate out."""
    if not slate:
        return float(kernel[i, i])
    inverse = np.linalg.pinv(kernel[np.ix_(slate, slate)], rcond=ZERO_RESIDUAL)
    return float(kernel[i, i] - kernel[i, slate] @ inverse @ kernel[slate, i])
