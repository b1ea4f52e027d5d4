"""The fast path of one request: the same gains and the same kernel as `rerank`, laid out beforehand.

It serves blends of the objectives below; `recsys.rankers.generic_path` serves all, and is what this is tested against.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np

from recsys.kernels import slot_rules
from recsys.kernels.inputs import KernelInputs, build_kernel_inputs
from recsys.objectives.negative_spaces import join_map_shares, negative_space
from recsys.rankers.generic_path import Picks
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Candidates, RequestUser, build_user_context, get_draw_key, get_row_columns
from recsys.rankers.retrievals import get_hard_regions
from recsys.reranking.blends import BlendPart, parse_blend, scale_weight
from recsys.reranking.blocks import TOO_LARGE
from recsys.support import rng
from recsys.types import Context, Coverage, Modular, Pool, RecsysError, Spread, TableCache, Term
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints

SUPPORTED_OBJECTIVES = ("relevance", "mmr", "negative_space", "unexplored")
MAX_EXPECTED_BYTES = 2**28  # bytes of what is expected of known users
MAX_LAYOUTS = 64  # layouts that are kept, one for each number of candidates and picks
INPUT_FIELDS = [field.name for field in fields(KernelInputs)]
NO_ITEMS = np.zeros(0, np.int32)
NO_GUARDS = slot_rules.NO_RULES.slice_users(0, 1).to_tuple()  # no guards

FillNeed = Callable[
    [RequestUser, Candidates, Doubles, Ints], None
]  # fills need, accepted, cap, and regions of a Coverage term
FillExpected = Callable[[RequestUser, Doubles], None]  # fills what negative space expects: accepted and cap
FillGain = Callable[[RequestUser, Candidates, Floats], None]  # fills the gains of a Modular term


class FastPath:
    """The arrays and functions that requests of one blend share."""

    def __init__(self, context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy) -> None:
        """Lay out what does not change from request to request; `build_fast_path` says whether it can be."""
        from recsys.kernels.greedy import pick_greedily

        self.kernel: Any = pick_greedily  # compiled: it has no signature that a checker could read
        self.parts = parse_blend(blend)
        self.policy = policy
        self.objectives = tuple(part.name for part in self.parts)
        self.weight = np.array([[float(scale_weight(p.name, p.weight, scales[p.name])) for p in self.parts]])
        self.unused_deviations = np.zeros(self.weight.shape)  # deviations: nobody asks for them
        self.terms = self._build_terms(context)
        self.memo = TableCache(3)
        self.laid: dict[tuple[int, int], list[Any]] = {}
        self.regions_per_candidate = 0  # of each candidate, where they can be laid side by side
        self._build_layout(1, policy.k)  # first: objectives make their tables
        self.fill_need = _build_need_function(context, self.parts)
        if self.fill_need is not None and _has_one_region_per_map(context):
            self.regions_per_candidate, self.laid = len(context.maps), {}
        self.gains = _build_gain_functions(context, self.parts)

    def pick_slate(
        self,
        request_user: RequestUser,
        candidates: Candidates,
        k: int,
        seed: int,
        lists_of_rules: slot_rules.SlotRules = slot_rules.NO_RULES,
    ) -> Picks:
        """Return the picks as `recsys.rankers.generic_path.pick_by_rerank` does; `asked` are slot rules of guards."""
        policy, n, guarded = self.policy, len(candidates.items), lists_of_rules is not slot_rules.NO_RULES
        k = k if guarded else min(k, n)
        layouts = list(self.laid.get((n, k)) or self._build_layout(n, k))
        rows = candidates.items.astype(np.int64)[None, None]
        layouts[MODULAR] = fill_gains = np.empty((len(self.gains), 1, n), np.float32)
        for row, fill in enumerate(self.gains):
            fill(request_user, candidates, fill_gains[row, 0])
        layouts[SPREAD_ROWS] = rows[: len(layouts[SPREAD_ROWS])]
        if self.fill_need is not None:
            width = layouts[NEED].shape[1]
            wanted, regions = np.zeros((3, width)), np.empty(n * self.regions_per_candidate, np.int32)
            self.fill_need(request_user, candidates, wanted[:, : width - (self.regions_per_candidate > 0)], regions)
            layouts[NEED], layouts[CAP] = wanted[:1], wanted[2:]
            if self.regions_per_candidate:
                layouts[COVER_REGIONS] = regions
            else:
                layouts[COVER_ROWS] = rows
        uniforms = layouts.pop()
        if policy.is_stochastic:
            uniforms = rng.draw_uniforms(
                seed, "slots", np.array([[get_draw_key(request_user)]], np.uint64), np.arange(k)
            )
        picks, contributions = np.empty((1, k), np.int64), np.empty((1, k, len(self.parts)), np.float32)
        chances = np.empty((1, k), np.float32)
        if guarded:
            picks[:], contributions[:], chances[:] = -1, 0.0, 0.0  # what nobody may take, or is pinned, is not written
        finite = self.kernel(
            np.array([n]),
            self.weight,
            *layouts,
            lists_of_rules.to_tuple() if guarded else NO_GUARDS,
            k,
            float(policy.temperature),
            float(policy.epsilon),
            uniforms,
            False,
            picks,
            contributions,
            chances,
            self.unused_deviations,
        )
        if not finite:
            raise RecsysError(TOO_LARGE)
        places, parts = picks[0], contributions[0]
        if guarded and places[-1] < 0:
            places, parts, chances = places[places >= 0], parts[places >= 0], chances[:, places >= 0]
        if policy.order == "relevance":
            order = np.argsort(places, kind="stable")
            places, parts = places[order], parts[order]
        return Picks(places, parts, self.objectives, chances[0] if policy.is_stochastic else None)

    def _build_layout(self, n: int, k: int) -> list[Any]:
        """Return the arrays of a plan for n candidates and k picks, and draws that no greedy pick reads."""
        made = build_kernel_inputs([term(n, k) for term in self.terms], 1, n, k, self.memo)
        if self.regions_per_candidate:
            made = _pack_regions_by_candidate(made, n, self.regions_per_candidate)
        laid = [*(getattr(made, name) for name in INPUT_FIELDS), np.zeros((1, k))]
        if len(self.laid) >= MAX_LAYOUTS:
            self.laid = {}
        self.laid[n, k] = laid
        return laid

    def _build_terms(self, context: Context) -> list[Callable[[int, int], Term]]:
        """Return, for each part, what makes a term of it for n candidates of somebody and k picks."""
        made: list[Callable[[int, int], Term]] = []
        for part in self.parts:
            if part.name == "relevance":
                made.append(lambda n, k: Modular(np.zeros((1, n), np.float32)))
            else:
                asks = build_user_context(context, RequestUser(-1, NO_ITEMS))
                pool = Pool(np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32), asks)
                made.append(_build_term_factory(part, pool))
        return made


def build_fast_path(
    context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy
) -> FastPath | None:
    """Return the fast path of the blend, None where it has no such path for its objectives or settings."""
    for part in parse_blend(blend):
        form = part.settings.get("score_transform", "score" if part.name == "relevance" else "range")
        if (
            part.name not in SUPPORTED_OBJECTIVES
            or part.adapt_to is not None
            or form != ("score" if part.name == "relevance" else "range")
        ):
            return None
    return FastPath(context, blend, scales, policy)


def _build_term_factory(part: BlendPart, pool: Pool) -> Callable[[int, int], Term]:
    """Return a function that makes the part's term for n candidates, from the objective's own arrays."""
    of_one: dict[int, Any] = {}

    def make(n: int, k: int) -> Term:
        term = of_one.get(k) or part.make_term(pool, k)
        of_one[k] = term
        rows = np.zeros((1, n), np.int64)
        if isinstance(term, Modular):
            return Modular(np.zeros((1, n), np.float32))
        if isinstance(term, Spread):
            return Spread(term.vectors, rows, term.agg, term.empty)
        assert isinstance(term, Coverage)
        return Coverage(term.coverage, rows, term.need, term.phi, term.cap, term.start, term.slots)

    return make


def _has_one_region_per_map(context: Context) -> bool:
    """Return whether each item lies in one region of each map at most, and wholly: then its row is a line of codes."""

    def looked_through() -> Bools:
        (_, _, shares), (hard, _), _ = _get_region_tables(context)
        sizes = context.tables.get("layout", _raise_missing_table)[0]
        return np.array([(shares == 1.0).all() and (hard < sizes.sum()).sum() == len(shares)])

    return bool(context.tables.get("one region of each map", looked_through)[0])


def _pack_regions_by_candidate(made: KernelInputs, n: int, maps: int) -> KernelInputs:
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


def _build_gain_functions(context: Context, parts: tuple[BlendPart, ...]) -> list[FillGain]:
    """Return a function for each part whose gains do not depend on the slate, which fills them, in the parts' order."""
    made: list[FillGain] = []
    for part in parts:
        if part.name == "relevance":
            made.append(_fill_relevance)
        elif part.name == "unexplored":
            made.append(_unexplored(context, part))
    return made


def _fill_relevance(request_user: RequestUser, candidates: Candidates, gain: Floats) -> None:
    gain[:] = candidates.scores


def _unexplored(context: Context, part: BlendPart) -> FillGain:
    from recsys.kernels.requests import fill_unexplored_gains

    kernel: Any = fill_unexplored_gains
    shares, (hard, _), usual = _get_region_tables(context)
    sizes = context.tables.get("layout", _raise_missing_table)[0]
    numbers = [int(sizes.sum()), float({"prior_strength": 5.0, **part.settings}["prior_strength"]), usual]

    def gain(asker: RequestUser, candidates: Candidates, gain: Floats) -> None:
        declined = _get_disliked_items(context, asker)
        kernel(candidates.items, candidates.scores, asker.history, declined, *shares, hard, *numbers, gain)

    return gain


def _build_need_function(context: Context, parts: tuple[BlendPart, ...]) -> FillNeed | None:
    """Return a function that fills need and cap of `negative_space`, None where it is not in the blend."""
    found = [part for part in parts if part.objective is negative_space]
    if not found:
        return None
    from recsys.kernels.requests import fill_region_need

    kernel: Any = fill_region_need
    settings = {"tau": 1.0, "top_m": 5, "prior_strength": 5.0, **found[0].settings}
    expected = _build_expected_function(context, float(settings["tau"]), float(settings["prior_strength"]))
    hard, starts = _get_region_tables(context)[1]
    best = int(settings["top_m"])

    def want(asker: RequestUser, candidates: Candidates, wanted: Doubles, regions: Ints) -> None:
        expected(asker, wanted[1:])
        kernel(candidates.items, candidates.scores, hard, starts, best, wanted, regions)

    return want


def _build_expected_function(context: Context, tau: float, prior_strength: float) -> FillExpected:
    """Return a function that fills `accepted` and `cap` for a request.

    For known users the values are precomputed if they fit in `MAX_EXPECTED_BYTES`.
    """
    from recsys.kernels.requests import fill_expected_exposure

    kernel: Any = fill_expected_exposure
    shares, (_, starts), usual_share = _get_region_tables(context)
    label, axes, places, centres, usual = map(
        _view_as_plain_array, context.tables.get("neighbourhood", _raise_missing_table)
    )
    around = [starts, np.ascontiguousarray(axes), np.ascontiguousarray(places), centres, usual]
    users, size = len(context.user_ids), centres.shape[1]

    def expected(asker: RequestUser, filled: Doubles) -> None:
        community = int(label[asker.code]) if asker.code >= 0 else -1
        declined = _get_disliked_items(context, asker)
        kernel(asker.history, declined, *shares, *around, community, tau, prior_strength, usual_share, *filled)

    def of_all() -> Floats:
        if 8 * users * size > MAX_EXPECTED_BYTES:
            return np.zeros((2, 0, size), np.float32)
        table, train, filled = np.empty((2, users, size), np.float32), context.train, np.empty((2, size))
        for code in range(users):
            expected(RequestUser(code, get_row_columns(cast(Csr, train), code)), filled)
            table[:, code] = filled
        return table

    known = _view_as_plain_array(context.tables.get(f"expected {tau} {prior_strength}", of_all))

    def looked_up(asker: RequestUser, filled: Doubles) -> None:
        if 0 <= asker.code < known.shape[1] and not asker.is_extended:
            filled[:] = known[:, asker.code]
        else:
            expected(asker, filled)

    return looked_up


def _get_region_tables(context: Context) -> tuple[list[Anys], tuple[Anys, Anys], float]:
    """Return the shares of items over regions as three arrays, the region of items by map, counted over all maps end
    to end, the number of all where they have none, each map's first region, and everybody's share of likes."""
    kept = context.tables.get
    joined: Csr = kept("joined maps", lambda: join_map_shares(context.need_maps()))
    shares = [
        _view_as_plain_array(joined.indptr).astype(np.int64),
        _view_as_plain_array(joined.indices),
        _view_as_plain_array(joined.data),
    ]
    sizes, starts = kept("layout", _raise_missing_table)

    def end_to_end() -> Ints:
        counted: Ints = np.empty((len(context.item_ids), len(context.maps)), np.int32)
        for m, start in enumerate(starts.tolist()):
            region = get_hard_regions(context, m)
            counted[:, m] = np.where(region < 0, np.int32(sizes.sum()), region + np.int32(start))
        return counted

    hard = kept("regions end to end", end_to_end)
    return (
        shares,
        (_view_as_plain_array(hard), _view_as_plain_array(starts)),
        float(kept("usual", _raise_missing_table)),
    )


def _get_disliked_items(context: Context, request_user: RequestUser) -> Ints:
    return (
        NO_ITEMS
        if request_user.code < 0 or context.dislikes is None
        else get_row_columns(context.dislikes, request_user.code)
    )


def _view_as_plain_array(array: Anys) -> Anys:
    """Return the same memory as an array of NumPy's own class, which compiled code reads without a detour."""
    return np.asarray(array)


def _raise_missing_table() -> Any:
    raise KeyError("a table that the objective makes")


MODULAR, SPREAD_ROWS, COVER_ROWS = (
    INPUT_FIELDS.index("modular"),
    INPUT_FIELDS.index("spread_rows"),
    INPUT_FIELDS.index("cover_rows"),
)
COVER_REGIONS = INPUT_FIELDS.index("cover_regions")
NEED, CAP = INPUT_FIELDS.index("need"), INPUT_FIELDS.index("cap")
