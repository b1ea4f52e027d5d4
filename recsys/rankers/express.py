"""The slate of one request without a detour: the same gains and the same kernel, laid out beforehand.

It serves blends of the objectives below; `recsys.rankers.picks` serves all, and is what this is tested against.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np

from recsys import seeds
from recsys.blends import Part, read, scaled
from recsys.kernels import rules
from recsys.kernels.plans import Plan, plan
from recsys.objectives.negative_spaces import join, negative_space
from recsys.rankers.picks import Picks
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Asker, Candidates, context_for, key_of, row_of
from recsys.rankers.retrievals import hard_region
from recsys.selections import TOO_LARGE
from recsys.types import Context, Coverage, Modular, Pool, RecsysError, Spread, Tables, Term
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints

SERVED = ("relevance", "diversity", "negative_space", "untouched")
MOST = 2**28  # bytes of what is expected of known users
LAID = 64  # layouts that are kept, one for each number of candidates and picks
NAMES = [field.name for field in fields(Plan)]
NOBODY = np.zeros(0, np.int32)
FREE = rules.NONE.block(0, 1).arrays()  # no guards

Want = Callable[[Asker, Candidates, Doubles, Ints], None]  # fills need, accepted, cap, and regions of a Coverage term
Expectation = Callable[[Asker, Doubles], None]  # fills what negative space expects: accepted and cap
Gain = Callable[[Asker, Candidates, Floats], None]  # fills the gains of a Modular term


class Express:
    """What requests of one blend share."""

    def __init__(self, context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy) -> None:
        """Lay out what does not change from request to request; `express` says whether it can be."""
        from recsys.kernels.greedy import greedy

        self.kernel: Any = greedy  # compiled: it has no signature that a checker could read
        self.parts = read(blend)
        self.policy = policy
        self.objectives = tuple(part.name for part in self.parts)
        self.weight = np.array([[float(scaled(p.name, p.weight, scales[p.name])) for p in self.parts]])
        self.unread = np.zeros(self.weight.shape)  # deviations: nobody asks for them
        self.terms = self._terms(context)
        self.memo = Tables(3)
        self.laid: dict[tuple[int, int], list[Any]] = {}
        self.regions = 0  # of each candidate, where they can be laid side by side
        self._lay(1, policy.k)  # first: objectives make their tables
        self.want = _negative_space(context, self.parts)
        if self.want is not None and _one_each(context):
            self.regions, self.laid = len(context.maps), {}
        self.gains = _gains(context, self.parts)

    def pick(self, asker: Asker, candidates: Candidates, k: int, seed: int, asked: rules.Rules = rules.NONE) -> Picks:
        """Return what `recsys.rankers.picks.pick` returns; `asked` is what its guards come to for the candidates."""
        policy, n, guarded = self.policy, len(candidates.items), asked is not rules.NONE
        k = k if guarded else min(k, n)
        laid = list(self.laid.get((n, k)) or self._lay(n, k))
        rows = candidates.items.astype(np.int64)[None, None]
        laid[MODULAR] = gains = np.empty((len(self.gains), 1, n), np.float32)
        for row, fill in enumerate(self.gains):
            fill(asker, candidates, gains[row, 0])
        laid[SPREAD_ROWS] = rows[: len(laid[SPREAD_ROWS])]
        if self.want is not None:
            width = laid[NEED].shape[1]
            wanted, regions = np.zeros((3, width)), np.empty(n * self.regions, np.int32)
            self.want(asker, candidates, wanted[:, : width - (self.regions > 0)], regions)
            laid[NEED], laid[CAP] = wanted[:1], wanted[2:]
            if self.regions:
                laid[COVER_REGIONS] = regions
            else:
                laid[COVER_ROWS] = rows
        uniforms = laid.pop()
        if policy.drawn:
            uniforms = seeds.uniforms(seed, "slots", np.array([[key_of(asker)]], np.uint64), np.arange(k))
        picks, contributions = np.empty((1, k), np.int64), np.empty((1, k, len(self.parts)), np.float32)
        chances = np.empty((1, k), np.float32)
        if guarded:
            picks[:], contributions[:], chances[:] = -1, 0.0, 0.0  # what nobody may take, or is pinned, is not written
        finite = self.kernel(
            np.array([n]), self.weight, *laid, asked.arrays() if guarded else FREE, k, float(policy.temperature),
            float(policy.epsilon), uniforms, False, picks, contributions, chances, self.unread,
        )  # fmt: skip
        if not finite:
            raise RecsysError(TOO_LARGE)
        places, parts = picks[0], contributions[0]
        if guarded and places[-1] < 0:
            places, parts, chances = places[places >= 0], parts[places >= 0], chances[:, places >= 0]
        if policy.order == "relevance":
            order = np.argsort(places, kind="stable")
            places, parts = places[order], parts[order]
        return Picks(places, parts, self.objectives, chances[0] if policy.drawn else None)

    def _lay(self, n: int, k: int) -> list[Any]:
        """Return the arrays of a plan for n candidates and k picks, and draws that no greedy pick reads."""
        made = plan([term(n, k) for term in self.terms], 1, n, k, self.memo)
        if self.regions:
            made = _side_by_side(made, n, self.regions)
        laid = [*(getattr(made, name) for name in NAMES), np.zeros((1, k))]
        if len(self.laid) >= LAID:
            self.laid = {}
        self.laid[n, k] = laid
        return laid

    def _terms(self, context: Context) -> list[Callable[[int, int], Term]]:
        """Return, for each part, what makes a term of it for n candidates of somebody and k picks."""
        made: list[Callable[[int, int], Term]] = []
        for part in self.parts:
            if part.name == "relevance":
                made.append(lambda n, k: Modular(np.zeros((1, n), np.float32)))
            else:
                asks = context_for(context, Asker(-1, NOBODY))
                pool = Pool(np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32), asks)
                made.append(_widened(part, pool))
        return made


def express(context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy) -> Express | None:
    """Return what serves requests of the blend, None where its objectives or their settings are others."""
    for part in read(blend):
        form = part.settings.get("form", "score" if part.name == "relevance" else "range")
        if part.name not in SERVED or part.by is not None or form != ("score" if part.name == "relevance" else "range"):
            return None
    return Express(context, blend, scales, policy)


def _widened(part: Part, pool: Pool) -> Callable[[int, int], Term]:
    """Return what makes the part's term with rows for n candidates: what is of no candidate is the objective's own."""
    of_one: dict[int, Any] = {}

    def make(n: int, k: int) -> Term:
        term = of_one.get(k) or part.term(pool, k)
        of_one[k] = term
        rows = np.zeros((1, n), np.int64)
        if isinstance(term, Modular):
            return Modular(np.zeros((1, n), np.float32))
        if isinstance(term, Spread):
            return Spread(term.vectors, rows, term.agg, term.empty)
        assert isinstance(term, Coverage)
        return Coverage(term.coverage, rows, term.need, term.phi, term.cap, term.start, term.slots)

    return make


def _one_each(context: Context) -> bool:
    """Return whether each item lies in one region of each map at most, and wholly: then its row is a line of codes."""

    def looked_through() -> Bools:
        (_, _, shares), (hard, _), _ = _regions(context)
        sizes = context.tables.get("layout", _missing)[0]
        return np.array([(shares == 1.0).all() and (hard < sizes.sum()).sum() == len(shares)])

    return bool(context.tables.get("one region of each map", looked_through)[0])


def _side_by_side(made: Plan, n: int, maps: int) -> Plan:
    """Return the plan for the regions (n maps,) of n candidates side by side, which lie near in memory: the row of each
    candidate is its own. A region more, that nobody needs, is of who has none."""
    cover, more = made.cover.copy(), [(0, 0), (0, 1)]
    cover[0, 0], cover[0, 2] = 0, cover[0, 2] + 1
    return replace(
        made,
        cover=cover,
        cover_rows=np.arange(n)[None, None],
        cover_pointers=maps * np.arange(n + 1),
        cover_values=np.ones(n * maps, np.float32),
        need=np.pad(made.need, more),
        cap=np.pad(made.cap, more),
        start=np.pad(made.start, more),
    )


def _gains(context: Context, parts: tuple[Part, ...]) -> list[Gain]:
    """Return what fills the gains of each part whose gains do not depend on the slate, in their order."""
    made: list[Gain] = []
    for part in parts:
        if part.name == "relevance":
            made.append(_relevance)
        elif part.name == "untouched":
            made.append(_untouched(context, part))
    return made


def _relevance(asker: Asker, candidates: Candidates, gain: Floats) -> None:
    gain[:] = candidates.scores


def _untouched(context: Context, part: Part) -> Gain:
    from recsys.kernels.requests import leave

    kernel: Any = leave
    shares, (hard, _), usual = _regions(context)
    sizes = context.tables.get("layout", _missing)[0]
    numbers = [int(sizes.sum()), float({"strength": 5.0, **part.settings}["strength"]), usual]

    def gain(asker: Asker, candidates: Candidates, gain: Floats) -> None:
        declined = _declined(context, asker)
        kernel(candidates.items, candidates.scores, asker.history, declined, *shares, hard, *numbers, gain)

    return gain


def _negative_space(context: Context, parts: tuple[Part, ...]) -> Want | None:
    """Return what fills need and cap of `negative_space`, None where it is not in the blend."""
    found = [part for part in parts if part.objective is negative_space]
    if not found:
        return None
    from recsys.kernels.requests import offer

    kernel: Any = offer
    settings = {"tau": 1.0, "best": 5, "strength": 5.0, **found[0].settings}
    expected = _expected(context, float(settings["tau"]), float(settings["strength"]))
    hard, starts = _regions(context)[1]
    best = int(settings["best"])

    def want(asker: Asker, candidates: Candidates, wanted: Doubles, regions: Ints) -> None:
        expected(asker, wanted[1:])
        kernel(candidates.items, candidates.scores, hard, starts, best, wanted, regions)

    return want


def _expected(context: Context, tau: float, strength: float) -> Expectation:
    """Return what fills what is expected of who asks; that of known users is made once where it takes little memory."""
    from recsys.kernels.requests import expect

    kernel: Any = expect
    shares, (_, starts), usual_share = _regions(context)
    label, axes, places, centres, usual = map(_plain, context.tables.get("neighbourhood", _missing))
    around = [starts, np.ascontiguousarray(axes), np.ascontiguousarray(places), centres, usual]
    users, size = len(context.user_ids), centres.shape[1]

    def expected(asker: Asker, filled: Doubles) -> None:
        community = int(label[asker.code]) if asker.code >= 0 else -1
        declined = _declined(context, asker)
        kernel(asker.history, declined, *shares, *around, community, tau, strength, usual_share, *filled)

    def of_all() -> Floats:
        if 8 * users * size > MOST:
            return np.zeros((2, 0, size), np.float32)
        table, train, filled = np.empty((2, users, size), np.float32), context.train, np.empty((2, size))
        for code in range(users):
            expected(Asker(code, row_of(cast(Csr, train), code)), filled)
            table[:, code] = filled
        return table

    known = _plain(context.tables.get(f"expected {tau} {strength}", of_all))

    def looked_up(asker: Asker, filled: Doubles) -> None:
        if 0 <= asker.code < known.shape[1] and not asker.grown:
            filled[:] = known[:, asker.code]
        else:
            expected(asker, filled)

    return looked_up


def _regions(context: Context) -> tuple[list[Anys], tuple[Anys, Anys], float]:
    """Return the shares of items over regions as three arrays, the region of items by map, counted over all maps end
    to end, the number of all where they have none, each map's first region, and everybody's share of likes."""
    kept = context.tables.get
    joined: Csr = kept("joined maps", lambda: join(context.need_maps()))
    shares = [_plain(joined.indptr).astype(np.int64), _plain(joined.indices), _plain(joined.data)]
    sizes, starts = kept("layout", _missing)

    def end_to_end() -> Ints:
        counted: Ints = np.empty((len(context.item_ids), len(context.maps)), np.int32)
        for m, start in enumerate(starts.tolist()):
            region = hard_region(context, m)
            counted[:, m] = np.where(region < 0, np.int32(sizes.sum()), region + np.int32(start))
        return counted

    hard = kept("regions end to end", end_to_end)
    return shares, (_plain(hard), _plain(starts)), float(kept("usual", _missing))


def _declined(context: Context, asker: Asker) -> Ints:
    return NOBODY if asker.code < 0 or context.dislikes is None else row_of(context.dislikes, asker.code)


def _plain(array: Anys) -> Anys:
    """Return the same memory as an array of NumPy's own class, which compiled code reads without a detour."""
    return np.asarray(array)


def _missing() -> Any:
    raise KeyError("a table that the objective makes")


MODULAR, SPREAD_ROWS, COVER_ROWS = NAMES.index("modular"), NAMES.index("spread_rows"), NAMES.index("cover_rows")
COVER_REGIONS = NAMES.index("cover_regions")
NEED, CAP = NAMES.index("need"), NAMES.index("cap")
