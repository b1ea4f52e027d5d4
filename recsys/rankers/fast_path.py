"""The fast path of one request: the same gains and the same kernel as `rerank`, laid out beforehand.

It serves blends of the objectives below; `recsys.rankers.generic_path` serves all, and is what this is tested against.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from recsys.kernels import slot_rules
from recsys.kernels.inputs import build_kernel_inputs
from recsys.objectives.derived_tables import (
    get_community_model,
    get_expected_exposure,
    get_item_regions,
    get_item_vectors,
    get_like_share,
    get_region_layout,
    get_region_shares,
    has_one_region_per_map,
)
from recsys.objectives.fatigues import convert_window
from recsys.objectives.negative_spaces import negative_space
from recsys.rankers.block_users import BlockUsers
from recsys.rankers.generic_path import Picks
from recsys.rankers.policies import Policy
from recsys.rankers.requests import (
    NOBODY,
    Candidates,
    RequestUser,
    build_user_context,
    get_draw_key,
    get_row_columns,
    list_disliked_items,
)
from recsys.reranking.blends import MAX_MAGNITUDE, BlendPart, parse_blend, scale_weight
from recsys.reranking.blocks import TOO_LARGE
from recsys.support import rng
from recsys.types import Context, Coverage, Modular, Pool, RecsysError, Spread, TableCache, Term
from recsys.types.arrays import Anys, Csr, Doubles, Floats, Ints, Longs

if TYPE_CHECKING:
    from recsys.kernels.greedy import KernelInputs

SCORE_TRANSFORMS = {
    "relevance": "score",
    "mmr": None,
    "negative_space": "range",
    "unexplored": "range",
    "discovery_value": "auto",
    "fatigue": None,
}  # supported
TERMS_WITH_SLATE = ("mmr", "negative_space")  # whose gains follow the slate; those of other terms are filled
MAX_LAYOUTS = 64  # layouts that are kept, one for each number of candidates and picks
NO_COSINES = np.zeros(0, np.float32)
NO_GUARDS = slot_rules.NO_RULES.slice_users(0, 1).to_tuple()  # no guards

FillExpected = Callable[[RequestUser, Doubles], None]  # fills what negative space expects: accepted and cap


class Need(NamedTuple):
    """What fills need, accepted and cap, (3, Z), and the regions of the candidates of a Coverage term."""

    fill: Callable[[RequestUser, Candidates, Doubles, Ints], None]  # of a request,
    fill_block: Callable[[BlockUsers, Doubles, int, Ints], None]  # of B requests: (B, 3, Z), regions of each candidate


class Gain(NamedTuple):
    """What fills the gains of a Modular term."""

    fill: Callable[[RequestUser, Candidates, Floats], None]  # (N,) of a request,
    fill_block: Callable[[BlockUsers, Floats], None]  # (B, N) of B requests, zeros beyond the candidates of each


class Expected(NamedTuple):
    """What fills the exposure that negative space expects, accepted and cap."""

    fill: FillExpected  # (2, Z) of a request,
    fill_block: Callable[[BlockUsers, Doubles], None]  # (B, 2, Z) of B requests


class Layout(NamedTuple):
    """The arguments of the kernel for n candidates and k picks that do not change from request to request."""

    lengths: Longs  # (1,)
    inputs: tuple[Any, ...]  # the plain tuples of a `KernelInputs`
    uniforms: Doubles  # (1, k), never read: for picks that are not drawn


class FastPath:
    """The arrays and functions that requests of one blend share."""

    def __init__(self, context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy) -> None:
        """Lay out what does not change from request to request; `build_fast_path` says whether it can be."""
        from recsys.kernels.greedy import pick_greedily

        self.kernel: Any = pick_greedily  # compiled: it has no signature that a checker could read
        self.parts = parse_blend(blend)
        self.policy = policy
        self.objectives = tuple(part.name for part in self.parts)
        self.configured = _list_configured(self.parts, scales)
        self.weight = np.array([[float(scale_weight(p.name, p.weight, scales[p.name])) for p in self.parts]])
        self.unused_deviations = np.zeros(self.weight.shape)  # the kernel fills them for `follow` alone
        self.terms = self._build_terms(context)
        self.memo = TableCache(3)
        self.laid: dict[tuple[int, int], Layout] = {}
        self.regions_per_candidate = 0  # of each candidate, where they can be laid side by side
        self._build_layout(1, policy.k)  # first: objectives refuse settings that cannot be meant
        self.need = _build_need(context, self.parts)
        if self.need is not None and has_one_region_per_map(context):
            self.regions_per_candidate, self.laid = len(context.maps), {}
        self.gains = _build_gains(context, self.parts)
        self.reduced: dict[tuple[bool, ...], FastPath] = {}  # without some parts, by which are kept

    def dial(self, factors: Mapping[str, float]) -> tuple["FastPath", Doubles]:
        """Return the path of the parts that factors do not turn off, and their scaled weights, (1, T).

        Raises:
            RecsysError: if a weight is above 1e30 in size with its scale.
        """
        weight = self.weight.copy()
        for name, factor in factors.items():
            place, own, scale = self.configured[name]
            own *= factor
            if own == 0.0:
                return self._turn_off(factors)
            weight[0, place] = scaled = own * scale
            if not -MAX_MAGNITUDE <= scaled <= MAX_MAGNITUDE:
                scale_weight(name, np.asarray(own), scale)  # which says so
        return self, weight

    def _turn_off(self, factors: Mapping[str, float]) -> tuple["FastPath", Doubles]:
        """Return what `dial` does where parts are turned off."""
        kept = tuple([own * factors.get(name, 1.0) != 0.0 for name, (_, own, _) in self.configured.items()])
        path = self.reduced.get(kept) or self._reduce(kept)
        return path.dial({name: factor for name, factor in factors.items() if name in path.configured})

    def _reduce(self, kept: tuple[bool, ...]) -> "FastPath":
        """Return the path of the parts that are `kept`, which shares all else with this one, and keep it."""
        made = object.__new__(FastPath)
        made.__dict__.update(self.__dict__)
        filled = [keep for keep, part in zip(kept, self.parts, strict=True) if part.name not in TERMS_WITH_SLATE]
        made.gains = list(compress(self.gains, filled))
        made.parts, made.terms = tuple(compress(self.parts, kept)), list(compress(self.terms, kept))
        made.objectives = tuple(part.name for part in made.parts)
        made.configured = _list_configured(made.parts, {name: one[2] for name, one in self.configured.items()})
        made.weight = np.ascontiguousarray(self.weight[:, list(kept)])
        made.unused_deviations = np.zeros(made.weight.shape)
        made.memo, made.laid = TableCache(3), {}
        if "negative_space" not in made.objectives:
            made.need, made.regions_per_candidate = None, 0
        self.reduced[kept] = made
        return made

    def pick_slate(
        self,
        request_user: RequestUser,
        candidates: Candidates,
        k: int,
        seed: int,
        lists_of_rules: slot_rules.SlotRules = slot_rules.NO_RULES,
        weight: Doubles | None = None,
    ) -> Picks:
        """Return the picks as `recsys.rankers.generic_path.pick_by_rerank` does.

        `lists_of_rules` are those of guards, and `weight` what `dial` returns where the request has dials.
        """
        policy, n, guarded = self.policy, len(candidates.items), lists_of_rules is not slot_rules.NO_RULES
        k = k if guarded else min(k, n)
        lengths, inputs, uniforms = self.laid.get((n, k)) or self._build_layout(n, k)
        if policy.is_stochastic:
            uniforms = rng.draw_uniforms(
                seed, "slots", np.array([[get_draw_key(request_user)]], np.uint64), np.arange(k)
            )
        picks, contributions = np.empty((1, k), np.int64), np.empty((1, k, len(self.parts)), np.float32)
        chances = np.empty((1, k), np.float32)
        if guarded:
            picks[:], contributions[:], chances[:] = -1, 0.0, 0.0  # what nobody may take, or is pinned, is not written
        finite = self.kernel(
            lengths,
            self.weight if weight is None else weight,
            self._fill_inputs(inputs, request_user, candidates),
            lists_of_rules.to_tuple() if guarded else NO_GUARDS,
            (k, float(policy.temperature), float(policy.epsilon), uniforms, False),
            (picks, contributions, chances, self.unused_deviations),
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

    def _fill_inputs(
        self, inputs: tuple[Any, ...], request_user: RequestUser, candidates: Candidates
    ) -> tuple[Any, ...]:
        """Return the inputs of a layout with the gains, rows, need and cap of a request.

        The tuples are taken apart and put together by position: `_replace` of a named tuple takes microseconds.
        """
        terms, spread, coverage, volume = inputs
        rows = candidates.items.astype(np.int32)[None, None]
        shape, place, _, by_slot = terms
        gains = np.empty((len(self.gains), 1, len(candidates.items)), np.float32)
        for row, gain in enumerate(self.gains):
            gain.fill(request_user, candidates, gains[row, 0])
        vectors, settings, empty, spread_rows, start = spread
        spread = (vectors, settings, empty, rows[: len(spread_rows)], start)
        if self.need is not None:
            settings, seats, patience, at, pointers, regions, values, slots, need, cap, start = coverage
            width, by_candidate = need.shape[1], self.regions_per_candidate
            wanted, packed = np.zeros((3, width)), np.empty(len(candidates.items) * by_candidate, np.int32)
            self.need.fill(request_user, candidates, wanted[:, : width - (by_candidate > 0)], packed)
            at, regions = (at, packed) if by_candidate else (rows, regions)
            need, cap = wanted[:1], wanted[2:]
            coverage = (settings, seats, patience, at, pointers, regions, values, slots, need, cap, start)
        return (shape, place, gains, by_slot), spread, coverage, volume

    def _build_layout(self, n: int, k: int) -> Layout:
        """Return the layout for n candidates and k picks, and keep it."""
        made = build_kernel_inputs([term(n, k) for term in self.terms], 1, n, k, self.memo)
        if self.regions_per_candidate:
            made = _pack_regions_by_candidate(made, n, self.regions_per_candidate)
        laid = Layout(np.array([n]), made.to_tuples(), np.zeros((1, k)))
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
                asks = build_user_context(context, NOBODY)
                pool = Pool(np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32), asks)
                made.append(_build_term_factory(part, pool))
        return made


def build_fast_path(
    context: Context, blend: Mapping[str, Any], scales: Mapping[str, float], policy: Policy
) -> FastPath | None:
    """Return the fast path of the blend, None where it has no such path for its objectives, settings or half-life."""
    for part in parse_blend(blend):
        if part.objective is negative_space and context.time_weights is not None:
            return None  # its compiled mixes count every liked item alike
        if part.name not in SCORE_TRANSFORMS or part.adapt_to is not None:
            return None
        if _complete_settings(part).get("score_transform") != SCORE_TRANSFORMS[part.name]:
            return None
    return FastPath(context, blend, scales, policy)


def _list_configured(parts: Sequence[BlendPart], scales: Mapping[str, float]) -> dict[str, tuple[int, float, float]]:
    """Return place, weight and scale of each part, by objective."""
    return {part.name: (place, float(part.weight), scales[part.name]) for place, part in enumerate(parts)}


def _build_term_factory(part: BlendPart, pool: Pool) -> Callable[[int, int], Term]:
    """Return a function that makes the part's term for n candidates, from the objective's own arrays."""
    of_one: dict[int, Any] = {}

    def make(n: int, k: int) -> Term:
        term = of_one.get(k) or part.make_term(pool, k)
        of_one[k] = term
        rows = np.zeros((1, n), np.int32)
        if isinstance(term, Modular):
            return Modular(np.zeros((1, n), np.float32))
        if isinstance(term, Spread):
            return Spread(term.vectors, rows, term.agg, term.empty)
        assert isinstance(term, Coverage)
        return Coverage(term.coverage, rows, term.need, term.phi, term.cap, term.start, term.slots)

    return make


def _complete_settings(part: BlendPart) -> dict[str, Any]:
    """Return all settings of a part: where the blend gives none, the default of the objective's signature."""
    defaults = {name: parameter.default for name, parameter in signature(part.objective).parameters.items()}
    return {name: value for name, value in defaults.items() if value is not Parameter.empty} | dict(part.settings)


def _pack_regions_by_candidate(made: "KernelInputs", n: int, maps: int) -> "KernelInputs":
    """Return the inputs with the regions (n maps,) of the n candidates side by side in memory: row i is candidate i.

    One region is added, which nobody needs: that of candidates without a region in a map.
    """
    coverage, more = made.coverage, [(0, 0), (0, 1)]
    settings = coverage.settings.copy()
    settings[0, 0], settings[0, 2] = 0, settings[0, 2] + 1
    coverage = coverage._replace(
        settings=settings,
        rows=np.arange(n, dtype=np.int32)[None, None],
        pointers=maps * np.arange(n + 1),
        values=np.ones(n * maps, np.float32),
        need=np.pad(coverage.need, more),
        cap=np.pad(coverage.cap, more),
        start=np.pad(coverage.start, more),
    )
    return made._replace(coverage=coverage)


def _build_gains(context: Context, parts: tuple[BlendPart, ...]) -> list[Gain]:
    """Return what fills the gains of each part whose gains do not depend on the slate, in the parts' order."""
    made: list[Gain] = []
    for part in parts:
        if part.name == "relevance":
            made.append(Gain(_fill_relevance, _fill_relevance_block))
        elif part.name == "unexplored":
            made.append(_build_unexplored_gain(context, part))
        elif part.name == "discovery_value":
            made.append(_build_value_gain(context, part))
        elif part.name == "fatigue":
            made.append(_build_fatigue_gain(part))
    return made


def _fill_relevance(request_user: RequestUser, candidates: Candidates, gain: Floats) -> None:
    gain[:] = candidates.scores


def _fill_relevance_block(users: BlockUsers, gains: Floats) -> None:
    gains[:] = users.lay_out(users.scores, 0.0)


def _build_unexplored_gain(context: Context, part: BlendPart) -> Gain:
    from recsys.kernels.requests import fill_unexplored_gains

    kernel: Any = fill_unexplored_gains
    cosines = _build_cosines(context, part)
    tables = _get_unexplored_tables(context, part)

    def fill(asker: RequestUser, candidates: Candidates, gain: Floats) -> None:
        declined, near = list_disliked_items(context, asker), cosines.find(asker, candidates)
        kernel(candidates.items, candidates.scores, near, asker.history, declined, *tables, gain)

    def fill_block(users: BlockUsers, gains: Floats) -> None:
        _fill_each(context, kernel, cosines, tables, users, gains, lambda one: [])

    return Gain(fill, fill_block)


def _fill_each(
    context: Context, kernel: Any, cosines: "Cosines", tables: list[Any], users: BlockUsers, gains: Floats,
    list_more: Callable[[Candidates], list[Any]],
) -> None:  # fmt: skip
    """Fill the gains of B requests, (B, N), each by the compiled loop that fills them for it alone.

    Within another compiled loop the same code may round otherwise.
    """
    found = cosines.find_block(users)
    for b, (asker, one) in enumerate(zip(users.askers, users.found, strict=True)):
        n, declined = len(one.items), list_disliked_items(context, asker)
        near, more = found[b, : min(n, found.shape[1])], list_more(one)
        kernel(one.items, one.scores, near, asker.history, declined, *tables, *more, gains[b, :n])


def _list_block_arrays(users: BlockUsers) -> list[Any]:
    return [users.items, users.scores, users.starts]


def _build_value_gain(context: Context, part: BlendPart) -> Gain:
    from recsys.kernels.like_probabilities import KINDS
    from recsys.kernels.requests import fill_discovery_values

    kernel: Any = fill_discovery_values
    cosines = _build_cosines(context, part)
    tables = [*_get_unexplored_tables(context, part), float(_complete_settings(part)["exploration"])]

    def fill(asker: RequestUser, candidates: Candidates, gain: Floats) -> None:
        declined, near = list_disliked_items(context, asker), cosines.find(asker, candidates)
        kind = KINDS[candidates.likelihood_kind]
        kernel(candidates.items, candidates.scores, near, asker.history, declined, *tables, kind, gain)

    def fill_block(users: BlockUsers, gains: Floats) -> None:
        _fill_each(context, kernel, cosines, tables, users, gains, lambda one: [KINDS[one.likelihood_kind]])

    return Gain(fill, fill_block)


def _build_fatigue_gain(part: BlendPart) -> Gain:
    from recsys.kernels.exposures import fill_fatigue_gains
    from recsys.kernels.like_probabilities import KINDS

    kernel: Any = fill_fatigue_gains
    settings = _complete_settings(part)
    window = convert_window("fatigue: window_days", settings["window_days"])
    numbers = [-1 if window is None else window, float(settings["exponent"])]

    def fill(asker: RequestUser, candidates: Candidates, gain: Floats) -> None:
        shown = asker.shown
        if not len(shown.items):
            gain[:] = 0.0
            return
        kind = KINDS[candidates.likelihood_kind]
        kernel(candidates.items, candidates.scores, shown.items, shown.times, shown.now, *numbers, kind, gain)

    def fill_block(users: BlockUsers, gains: Floats) -> None:
        for b, (asker, one) in enumerate(zip(users.askers, users.found, strict=True)):
            if len(asker.shown.items):
                fill(asker, one, gains[b, : len(one.items)])

    return Gain(fill, fill_block)


class Cosines(NamedTuple):
    """What finds the largest cosine of each candidate to the history."""

    find: Callable[[RequestUser, Candidates], Floats]  # (N,) of a request,
    find_block: Callable[[BlockUsers], Floats]  # (B, N) of B requests


def _build_cosines(context: Context, part: BlendPart) -> Cosines:
    """Return what finds the cosines that a part reads: none, if it reads none."""
    settings = _complete_settings(part)
    if not settings["distance_share"]:
        return Cosines(lambda asker, candidates: NO_COSINES, lambda users: np.zeros((len(users), 0), np.float32))
    from recsys.kernels.likelihood_features import fill_all_history_cosines, fill_history_cosines

    kernel: Any = fill_history_cosines
    block_kernel: Any = fill_all_history_cosines
    vectors = np.asarray(get_item_vectors(context, settings["space"], part.name))

    def find(asker: RequestUser, candidates: Candidates) -> Floats:
        near = np.empty(len(candidates.items), np.float32)
        kernel(vectors, candidates.items, asker.history, near)
        return near

    def find_block(users: BlockUsers) -> Floats:
        histories, near = users.histories, np.empty(users.item_rows.shape, np.float32)
        block_kernel(vectors, users.item_rows, np.arange(len(users)), histories.starts, histories.values, near)
        return near

    return Cosines(find, find_block)


def _get_unexplored_tables(context: Context, part: BlendPart) -> list[Any]:
    """Return the arguments of `recsys.kernels.requests` that say how unexplored items are, after those of a request."""
    settings, n_regions = _complete_settings(part), int(get_region_layout(context)[0].sum())
    numbers = [n_regions, float(settings["prior_strength"]), get_like_share(context), float(settings["distance_share"])]
    return [*_get_share_arrays(context), np.asarray(get_item_regions(context)), *numbers]


def _build_need(context: Context, parts: tuple[BlendPart, ...]) -> Need | None:
    """Return what fills need and cap of `negative_space`, None where it is not in the blend."""
    found = [part for part in parts if part.objective is negative_space]
    if not found:
        return None
    from recsys.kernels.requests import fill_region_need, fill_region_need_block

    kernel: Any = fill_region_need
    block_kernel: Any = fill_region_need_block
    settings = _complete_settings(found[0])
    expected = _build_expected(context, float(settings["tau"]), float(settings["prior_strength"]))
    tables = [np.asarray(get_item_regions(context)), np.asarray(get_region_layout(context)[1]), int(settings["top_m"])]

    def fill(asker: RequestUser, candidates: Candidates, wanted: Doubles, found_regions: Ints) -> None:
        expected.fill(asker, wanted[1:])
        kernel(candidates.items, candidates.scores, *tables, wanted, found_regions)

    def fill_block(users: BlockUsers, wanted: Doubles, by_candidate: int, found_regions: Ints) -> None:
        expected.fill_block(users, wanted[:, 1:])
        block_kernel(*_list_block_arrays(users), *tables, wanted, by_candidate, found_regions)

    return Need(fill, fill_block)


def _build_expected(context: Context, tau: float, prior_strength: float) -> Expected:
    """Return what fills `accepted` and `cap` of requests.

    For known users the values are precomputed if they fit in `MAX_EXPOSURE_BYTES`.
    """
    from recsys.kernels.requests import fill_expected_exposure

    kernel: Any = fill_expected_exposure
    shares, like_share = _get_share_arrays(context), get_like_share(context)
    label, axes, places, centres, bandwidths = map(np.asarray, get_community_model(context))
    starts = np.asarray(get_region_layout(context)[1])
    near = [starts, np.ascontiguousarray(axes), np.ascontiguousarray(places), centres, bandwidths]

    def compute(asker: RequestUser, filled: Doubles) -> None:
        community = int(label[asker.code]) if asker.code >= 0 else -1
        declined = list_disliked_items(context, asker)
        kernel(asker.history, declined, *shares, *near, community, tau, prior_strength, like_share, *filled)

    def fill_user(code: int, filled: Doubles) -> None:
        compute(RequestUser(code, get_row_columns(cast(Csr, context.train), code)), filled)

    known = np.asarray(get_expected_exposure(context, tau, prior_strength, fill_user))

    def is_known(asker: RequestUser) -> bool:
        return 0 <= asker.code < known.shape[1] and not asker.is_extended and not len(asker.dislikes)

    def fill(asker: RequestUser, filled: Doubles) -> None:
        if is_known(asker):
            filled[:] = known[:, asker.code]
        else:
            compute(asker, filled)

    def fill_block(users: BlockUsers, filled: Doubles) -> None:
        codes = np.array([asker.code if is_known(asker) else -1 for asker in users.askers])
        if known.shape[1]:
            filled[:, 0], filled[:, 1] = known[0, codes], known[1, codes]
        for b in np.flatnonzero(codes < 0).tolist():
            compute(users.askers[b], filled[b])

    return Expected(fill, fill_block)


def _get_share_arrays(context: Context) -> list[Anys]:
    """Return the pointers, regions and shares of items over the regions of all maps, as compiled code reads them.

    They are arrays of NumPy's own class, which compiled code reads without a detour, and always of the same types, so
    that a warm-up compiles what every ranker runs.
    """
    shares = get_region_shares(context)
    return [
        np.asarray(shares.indptr).astype(np.int64),
        np.asarray(shares.indices).astype(np.int32),
        np.asarray(shares.data).astype(np.float32),
    ]
