"""The ranker: a fitted blend that answers requests."""

import time
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from recsys.control.forgetting import FinishedForgets, PendingForget
from recsys.control.receipts import Receipt
from recsys.control.whys import WhyNot
from recsys.data.identifiers import normalize_id
from recsys.evidence.like_curves import LikeCurve
from recsys.evidence.questions import DEFICIT_WEIGHT, Questions
from recsys.likelihoods.computing import RequestScorer
from recsys.likelihoods.records import Likelihood
from recsys.models.fits import refuse_ranking_problem
from recsys.objectives.derived_tables import TableKey, get_id_codes, get_number_codes, get_tie_order
from recsys.rankers import fitting, stores
from recsys.rankers.added_items import AddedItems, add_items, find_added, mark_added
from recsys.rankers.answers import Recommendation
from recsys.rankers.batch_readers import BatchReader, PlainUsers
from recsys.rankers.batches import BatchColumns, count_listed, count_users, read_columns
from recsys.rankers.block_retrieval import LazyBlockRetrieval
from recsys.rankers.exposures import MAX_SHOWN, ExposureStore, hide_limited_items
from recsys.rankers.fast_path import FastPath, build_fast_path
from recsys.rankers.forgets import (
    FORGOTTEN,
    ForgetState,
    build_user_index,
    close_items,
    describe_forgets,
    describe_origin,
    drop_items,
    find_finished_forgets,
    find_saved_list,
    follow_list,
    forget,
    keep_owned,
    refresh,
    restore_dials,
    stop,
    tell_user_lines,
    undo,
)
from recsys.rankers.indexes import Index, retrieve_from_index
from recsys.rankers.like_curves import check_like_curve, widen_slate
from recsys.rankers.likelihoods import (
    build_ranker_scorer,
    order_by_likelihood,
)
from recsys.rankers.made_slates import PreparedRequest
from recsys.rankers.many_requests import RequestBatch
from recsys.rankers.one_offs import confirm, list_confirmed, tell_held_back
from recsys.rankers.owned_items import set_owned_until
from recsys.rankers.policies import Policy
from recsys.rankers.profiles import UserProfile, build_profile
from recsys.rankers.questions import ask_about_regions, ask_questions
from recsys.rankers.receipts import GivenInputs, HeldInputs, Replay, ReplayResult, replay_receipt
from recsys.rankers.records import RankerParts, check_parts, collect_parts, name_policy
from recsys.rankers.region_answers import add_region_answers, refuse_regions
from recsys.rankers.request_blocks import BlockParts
from recsys.rankers.request_constraints import (
    RequestGuards,
    deserialize_guards,
    resolve_fixed_guards,
    serialize_guards,
)
from recsys.rankers.request_counts import RankerMetrics, RequestCounts
from recsys.rankers.request_dials import (
    RequestDials,
    resolve_dials,
)
from recsys.rankers.request_trials import RequestTrials
from recsys.rankers.requests import (
    NO_ITEMS,
    Candidates,
    HistoryRow,
    Id,
    IdIndex,
    RequestUser,
    build_user_context,
    parse_candidates,
    resolve_request_user,
)
from recsys.rankers.retrievals import retrieve_candidates
from recsys.rankers.saved_tables import list_saved_tables
from recsys.rankers.slate_columns import SlateColumns
from recsys.rankers.slate_makers import SlateMaker
from recsys.rankers.topics import resolve_topics
from recsys.rankers.updates import UpdateReport, find_update, update
from recsys.rankers.user_dials import (
    StoredDial,
    UserDials,
    add_user_dials,
    find_user_code,
    group_user_dials,
    remove_user_dials,
    select_known_users,
)
from recsys.rankers.why_nots import MAX_REMOVED, Absence
from recsys.rankers.whys import check_known_item
from recsys.reranking.blends import Blend, parse_blend
from recsys.reranking.dials import ANY_FACTOR, DialRange, check_factors, parse_control
from recsys.reranking.repeat_guard import repeat
from recsys.reranking.slates import Scale
from recsys.retrieval.exposures import build_exposure_histories
from recsys.types import (
    Context,
    Exposures,
    Guard,
    Model,
    Pool,
    RecsysError,
    RecsysWarning,
    Scorer,
    Split,
    TasteMap,
)
from recsys.types.arrays import Bools, Ints
from recsys.types.exposures import make_empty_histories
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_flag, check_int, check_number
from recsys.types.paths import check_path
from recsys.types.repeats import RepeatHistories
from recsys.types.topics import TopicItems

NO_DIALS = RequestDials()
MAX_SLOTS = 100_000  # slots of a request, however few items there are


@dataclass(frozen=True, eq=False)
class Ranker:
    """A model, a blend with its scale constants, maps and item table: what answers requests, and never changes.

    `Ranker.fit` makes one, `Ranker.load` reads one; requests may come from any number of threads, and from workers
    forked after either. Ids are the caller's: those of the data it was fitted to.
    """

    model: Scorer | None = field(repr=False)  # None: it only re-ranks
    context: Context = field(repr=False)  # everybody whom it was fitted to, the catalogue, maps, derived tables
    blend: Mapping[str, Any]
    scales: Mapping[str, float]
    policy: Policy
    available: Bools = field(repr=False)  # (I,) what may be retrieved
    name: str = ""  # of the policy: sixteen characters; made of all that decides where it is not given
    guards: tuple[Guard, ...] = ()  # of every request
    index: Index | None = None  # None: retrieval is exact
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)  # where it comes from: no part of the policy
    likelihood: Likelihood | None = None  # None: candidates keep their scores and their order
    control: Mapping[str, Any] = field(default_factory=dict)  # rules: the range of each dial
    user_dials: UserDials | None = field(default=None, repr=False)  # stored for users: no part of the policy
    topics: TopicItems | None = field(default=None, repr=False)  # of a policy; it has no item of a sensitive one
    like_curve: LikeCurve | None = None  # None: no pick has a probability, unless a logistic likelihood says it
    forget_state: ForgetState | None = field(default=None, init=False, repr=False)  # what its forget list took out
    _fixed_guards: RequestGuards = field(init=False, repr=False)
    _retrievable: Bools = field(init=False, repr=False)  # (I,) what is available and not excluded by the guards
    _needed_groups: tuple[tuple[Ints, int], ...] = field(
        init=False, repr=False
    )  # groups, and how many of each they ask for
    _items: IdIndex = field(init=False, repr=False)
    _users: IdIndex = field(init=False, repr=False)
    _added: Bools | None = field(init=False, repr=False)  # (I,) items that are predicted from features
    _fast_path: FastPath | None = field(init=False, repr=False)
    _likelihood_scorer: RequestScorer | None = field(init=False, repr=False)
    _slates: SlateMaker = field(init=False, repr=False)
    _block_retrieval: LazyBlockRetrieval = field(init=False, repr=False)
    _exposures: ExposureStore = field(init=False, repr=False)
    _held: HeldInputs = field(init=False, repr=False)  # what receipts are made of
    _stored_tables: tuple[TableKey, ...] = field(init=False, repr=False)  # derived, which are saved and named
    _weights: Mapping[str, float] = field(init=False, repr=False)  # of the blend, by objective
    _dial_ranges: Mapping[str, DialRange] = field(init=False, repr=False)  # of each objective of the blend
    _dials_of_users: Mapping[int, tuple[StoredDial, ...]] = field(init=False, repr=False)
    _counts: RequestCounts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make what every request needs, so that none of them waits for it."""
        object.__setattr__(self, "blend", MappingProxyType(dict(self.blend)))
        object.__setattr__(self, "scales", MappingProxyType(dict(self.scales)))
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))
        items = IdIndex(*get_id_codes(self.context), get_number_codes(self.context))
        object.__setattr__(self, "_items", items)
        object.__setattr__(self, "_added", mark_added(self.about, items.codes))
        users: list[str] = self.context.user_ids.tolist()
        object.__setattr__(self, "_users", build_user_index(users))
        if self.context.exposures is None:
            none = make_empty_histories(len(users))
            object.__setattr__(self, "context", replace(self.context, exposures=none))
        object.__setattr__(self, "_exposures", ExposureStore(self.context.need_exposures("ranker"), items))
        held = HeldInputs(self.context, self._users, self._items, self._exposures, len(self.guards))
        object.__setattr__(self, "_held", held)
        weights = {part.name: float(part.weight) for part in parse_blend(self.blend)}
        object.__setattr__(self, "_weights", weights)
        object.__setattr__(self, "control", MappingProxyType(parse_control(self.control, weights, "ranker: control")))
        ranges = dict.fromkeys(weights, ANY_FACTOR)
        ranges |= {name: (least, most) for name, (least, most) in self.control.get("dials", {}).items()}
        object.__setattr__(self, "_dial_ranges", ranges)
        self._store_user_dials(self.user_dials)
        object.__setattr__(self, "_fixed_guards", resolve_fixed_guards(self.guards, self.context, self.policy.k))
        object.__setattr__(self, "_retrievable", self._fixed_guards.filter_available(self.available))
        object.__setattr__(self, "_needed_groups", self._fixed_guards.list_needed_groups())
        get_tie_order(self.context, self.policy.seed)
        self._lay_out_path()
        object.__setattr__(self, "_counts", RequestCounts())
        self._warm_up()
        self._counts.clear()
        object.__setattr__(self, "_stored_tables", tuple(key for key, _ in list_saved_tables(self.context)))
        if not self.name:
            object.__setattr__(self, "name", name_policy(self._collect_parts(), self._serialize_settings()))

    def _lay_out_path(self) -> None:
        object.__setattr__(self, "_likelihood_scorer", build_ranker_scorer(self.likelihood, self.context))
        object.__setattr__(self, "_fast_path", build_fast_path(self.context, self.blend, self.scales, self.policy))
        plain = self.index is None and not self._fixed_guards.pinned_items and not self._needed_groups
        by_blocks = LazyBlockRetrieval(self.model, self.context, self._retrievable, self.policy, plain)
        object.__setattr__(self, "_block_retrieval", by_blocks)
        how = (self._weights, self.blend, self.scales, self.policy, self.like_curve)
        made = SlateMaker(
            self.model,
            self.context,
            self._items,
            *how,
            self._likelihood_scorer,
            self._fast_path,
            self._held,
            self._added,
        )
        object.__setattr__(self, "_slates", made)

    @classmethod
    def fit(
        cls,
        model: Scorer | None,
        split: Split,
        blend: Blend,
        *,
        pool: Pool | None = None,
        maps: Sequence[TasteMap] | None = None,
        scale: Scale = "fitted",
        k: int = 10,
        n: int = 200,
        order: str = "gain",
        temperature: float = 0.0,
        epsilon: float = 0.0,
        seed: int = 0,
        exclude_seen: bool = True,
        exploration_share: float = 0.0,
        guards: Sequence[Guard] = (),
        index_recall: float = 1.0,
        likelihood: Likelihood | None = None,
        control: Mapping[str, Any] | None = None,
        shown: Exposures | None = None,
        max_shown: int = MAX_SHOWN,
        forget_list: str | Path | None = None,
        repeats: RepeatHistories | None = None,
        like_curve: LikeCurve | None = None,
    ) -> "Ranker":
        """Return the ranker of a fitted model and a blend, for the users and items of `split`.

        What users met is what stands in `split.train`: to serve, fit the model to everything
        (`recsys.splits.no_holdout`) and give that split. Scale constants are fitted on the candidates of at most 2,048
        evenly spaced users: the model's n best, or those of `pool`, made of a sample of scores with
        `Pool.from_frame(..., split=split)`. Scores that come with requests are on that scale; with `pool`, a model is
        not needed, and a ranker without one only re-ranks. `guards` (`recsys.reranking.guards`) hold for every request;
        a slot that is kept for an item is not there where a request asks for a shorter slate.

        A `likelihood` (`recsys.fit_likelihood`, for the same items) gives the candidates of every request its scores
        and its order before they are re-ranked, those of `rerank` too; scale constants are fitted on them. A user
        without history keeps the base's, with a note. One that is below its base out of fold, or reads a part that is
        not there (own maps, factors), is left out with a `RecsysWarning`, and `about` says why.

        `control` are rules of requests. `{"dials": {"mmr": [0, 2]}}` is the range of the factors by which a request, or
        a user, may multiply the weight of an objective; without a range, any factor from 0 on is taken.
        `{"topics": "policy.toml"}` holds the split against a policy of topics (`recsys.control.topics`): one with items
        of sensitive topics is refused. A split that was made by a policy needs no word here: its topics are the
        ranker's.
        `shown` is the log of what was shown before (`recsys.read_exposures`), for `frequency_cap`, `cool_down`,
        `fatigue` and what reads it of one's own. The ranker keeps item, time and dismissal of the `max_shown` most
        recent rows of each user: a cap that is larger than that is never reached. Rows of unknown users and items, and
        older ones, are left out with a `RecsysWarning`, and `about` counts them. Requests bring later rows.

        `repeats` are what users may buy again (`recsys.evidence.build_repeats`): with them the guard `repeat` holds for
        every request, and a user's best of these items that are due at its moment are among the candidates.

        `forget_list` is the file that the ranker obeys from now on (`follow_forget_list`). A split that was made with
        it has none of the rows that it names, so that nothing is pending.

        `like_curve` (`recsys.evidence.fit_like_curve`) says how likely each pick is liked
        (`Recommendation.like_probabilities`), from its score: one that was fitted to scores of the same kind, those of
        the model, or with a `likelihood` those of that.

        With `recall` below 1, `rank` retrieves by an index (extra `index`) that finds this share of the n best, on
        average over users; `index` of the ranker says what it found of those of 256 users. 1 is exact.

        Raises:
            RecsysError: for whatever `recsys.rerank` or `recsys.candidates` would refuse, weights per user, a guard
                that no config could name, a rule or range of `control` that cannot be, a pool of another split,
                neither a model nor a pool, or an index where there are no factors, or with `exploration_share`, and for
                a model whose scores are not finite or have no spread.
        """
        policy = Policy(k, n, order, temperature, epsilon, seed, exclude_seen, exploration_share)
        max_shown = check_int("ranker: max_shown", max_shown, 1)
        plain, _ = fitting.serialize_blend(blend), serialize_guards(guards)
        rules = parse_control(control, plain, "ranker: control")
        if not isinstance(split, Split):
            raise RecsysError(
                f"ranker: found a {type(split).__name__}, expected a Split: recsys.splits.no_holdout makes one"
            )
        topics = resolve_topics(control, split)
        if model is not None:
            refuse_ranking_problem("ranker", model, split.train)
        histories, left_out = None, tuple[str, ...]()
        if shown is not None:
            histories, left_out = build_exposure_histories(
                shown, split.user_ids, split.item_ids, max_per_user=max_shown, place="ranker: shown"
            )
            for note in left_out:
                warnings.warn(note, RecsysWarning, stacklevel=2)
        own = tuple(guards)
        if repeats is not None and not any(guard.name == "repeat" for guard in own):
            own = (*own, repeat())
        made_of = fitting.fit_ranker_parts(
            model, split, plain, policy, maps=maps, guards=own, shown=histories, index_recall=index_recall,
            likelihood=likelihood, scale=scale, pool=pool, repeats=repeats,
        )  # fmt: skip
        about: dict[str, Any] = {"split_fingerprint": split.fingerprint, **made_of.about}
        about |= {"shown": left_out} if left_out else {}
        curve = check_like_curve(like_curve)
        others: Any = (own, made_of.retrieval_index, about, made_of.likelihood, rules, None, topics, curve)
        made = cls(model, made_of.context, plain, made_of.scales, policy, split.available_items, "", *others)
        return made if forget_list is None else made.follow_forget_list(forget_list)

    def save(self, folder: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
        """Write the ranker to `folder`, whole or not at all; one that is there already is replaced. No pickles.

        The manifest says when it was saved, with which versions and commit, and the fingerprint of its split; `about`
        adds to that what JSON can say. None of it is part of the policy's name. Nothing is written of what its forget
        list took out; the folder names the list by its path from there, and what is pending.

        Raises:
            RecsysError: if the model is of no class of this library, or `folder` is something else than a saved ranker.
        """
        target = check_path("folder", folder)
        told = {**self.about, **(about or {}), **describe_forgets(self.forget_state, target)}
        told.pop(FORGOTTEN, None)  # it stands among the settings, where it is verified
        parts, state = self._collect_parts(), self.forget_state
        settings = {**self._serialize_settings(), **describe_origin(state, self.about)}
        name = name_policy(parts, settings) if state is not None and state.effective else self.name
        return stores.save_ranker(parts, settings, name, target, told)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        verify: bool = False,
        allow_imports: Collection[str] = (),
        forget_list: str | Path | None = None,
    ) -> "Ranker":
        """Return the ranker that `save` wrote to `folder`, ready for requests: what it compiles is compiled.

        Its arrays are mapped from the files, so that processes share them, and looked through once: their shapes and
        types, whether numbers are finite, and whether codes are those of users, items and regions that there are.
        Settings and the header and size of every file are always held against the manifest's digest, and so is the
        content of every file but text and floating-point arrays above 1 MiB; with `verify` (`recsys warmup`) that of
        those too. A folder of a newer `recsys` is refused; a warning of one line names packages of other releases than
        those that it was saved with. Objectives and guards of somebody's own ("package.module:function") are imported
        only if `own` names them: a folder cannot run code. It obeys the forget list that the folder names, or
        `forget_list` where that lies elsewhere by now.

        Raises:
            RecsysError: if the folder is damaged, of another format, of a newer `recsys`, no saved ranker, or names
                others of these; or if the forget list is not there or damaged.
        """
        parts, context, settings, name, about = stores.load_ranker(check_path("folder", folder), verify, allow_imports)
        optional = (parts.models, parts.indexes, parts.likelihoods, parts.user_dials, parts.topics)
        model, index, likelihood, user_dials, topics = (one[0] if one else None for one in optional)
        decided = (settings["blend"], settings["scales"], settings["policy"])
        try:
            check_parts(parts, context)
            fitting.prime_tables(context, model)
            guards = settings["guards"]
            others: Any = (likelihood, settings.get("control", {}), user_dials, topics, settings.get("like_curve"))
            made = cls(model, context, *decided, parts.available, name, guards, index, about, *others)
        except (RecsysError, np.linalg.LinAlgError) as error:
            raise RecsysError(f"{folder}: is damaged: {error}") from None
        named = find_saved_list(Path(folder), about) if forget_list is None else forget_list
        return made if named is None else made.follow_forget_list(named)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy a ranker as what it is made of: what requests need is made anew. Its arrays are copied.

        One that obeys a forget list takes out again what that says when it is read.
        """
        if (state := self.forget_state) is not None:
            return _rebuild_forgetful_ranker, (restore_dials(self, state), state.forget_list.path.absolute())
        parts = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        plain = {name: dict(parts[name]) for name in ("blend", "scales", "about", "control")}
        return _rebuild_ranker, ({**parts, **plain, "guards": serialize_guards(self.guards)},)

    def profile(self, user: Id) -> UserProfile:
        """Return all that the ranker holds about a user, as plain data: `write` makes it a file of JSON.

        Each entry says where it lies, what it is, and what it says of the user: the id, what was liked and disliked,
        what was shown, stored dials, the rows of the model, and those of derived tables, saved or made anew in memory,
        and what its forget list says of the user.
        Times are there where the data has them. What a ranker does not keep is said (`not_held`), such as the source
        and the purposes of a row.

        Raises:
            RecsysError: for a user whom it does not know, with the nearest name.
        """
        made = build_profile(self._collect_parts(), self.context, self._users, user, self.name, self.about)
        code = self._users.codes[made.user]
        return tell_user_lines(tell_held_back(made, self.context, code), self.forget_state, code)

    def rerank(
        self,
        items: Sequence[Id],
        scores: Any,
        *,
        user: Id | None = None,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        dislikes: Iterable[Id] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Guard] = (),
        weights: Mapping[Any, float] | None = None,
        profile_free: bool = False,
        shown: Any = None,
        now: Any = None,
    ) -> Recommendation:
        """Return the slate of one request whose candidates and scores are the caller's; more is better.

        Who asks is a `user` whom it knows, and who may like `more` items since it was fitted, or anybody with a
        `history` of liked items, or with neither somebody of whom nothing is known. Candidates may come in any order;
        equal scores keep theirs. Items that it does not know are left out and reported
        (`Recommendation.unknown_items`). `{"relevance": 1}` gives the order of the scores, or where the ranker has a
        likelihood, the order of the likelihood.
        `guards` hold for this request, beside those of the ranker; what cannot be met is met in the order that
        `recsys.reranking.guards` says, and told (`Recommendation.violations`).
        Rows of `history` and `more` are items, or all of them an item and its datetime, which says how much it counts
        where the ranker has a half-life (`Split.with_half_life`); without a time it counts as of now.
        `dislikes` are items that the one who asks does not like, beside those that the ranker holds. They are folded in
        as the model folds in known dislikes (`Factors.disliked_weight`), and `rank` does not show them.
        `shown` are exposures of the one who asks, beside those that the ranker holds: rows of item_id, datetime and
        optionally dismissed (`recsys.rankers.exposures.parse_shown_rows`). `now` is the moment of the request, in
        seconds since 1970 or as a `datetime`, the clock's by default; an exposure after it counts as `now`.

        `weights` are dials of this request: factors by which the weights of objectives are multiplied. 1 is as
        configured, 0 turns the objective off. A factor stands in the place of one that is stored for the user
        (`set_user_dials`), as long as that one has not ended `now`. The answer says which hold
        (`Recommendation.dials`), and its policy is named for them. With `profile_free` the user, the history, `more`,
        stored dials and what was shown are not looked at: everybody gets the slate of somebody of whom nothing is
        known.

        Raises:
            RecsysError: for an unknown user, both user and history, scores that do not go with the items, an item that
                is there twice, a k below 1, an unknown objective or a factor out of its range in `weights`, factors
                that turn every objective off, or as a guard says.
        """
        start = time.perf_counter()
        try:
            asks, dials = self._resolve_request(user, history, more, weights, profile_free, shown, now, dislikes)
            k = self._resolve_k(k)
            held = self._combine_guards(guards, k)
            asks, held = self._close_stopped(user, hide_limited_items(asks, held.limits), held)
            found = parse_candidates(self._items, items, scores)
            answer = self._answer_request(asks, found, k, seed, held, None, dials)
        except RecsysError:
            self._counts.count_error()
            raise
        return self._counts.count(start, k, answer)

    def replay(
        self,
        receipt: Receipt,
        *,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        items: Sequence[Id] | None = None,
        scores: Any = None,
        shown: Any = None,
        guards: Sequence[Guard] | None = None,
        dislikes: Iterable[Id] | None = None,
        region_answers: Mapping[str, str] | None = None,
    ) -> ReplayResult:
        """Answer the request of a receipt again, and say whether the slate is the same to the last bit, or why not.

        A known user is looked up here. What the request brought (`receipt.brought`) comes from the receipt if it keeps
        its inputs, or is given here, and has to be what it was. `verdict` of the result is "equal" or "differs", or the
        reason why neither can be said: "inputs forgotten" where the user, or rows of the user, are gone; "other
        artefact" where the receipt is of another ranker; "inputs missing" and "other inputs" where what the request
        brought is not there, or is something else; "other versions" and "other CPU" where the slate differs, and
        so do these. `differences` names what.

        Raises:
            RecsysError: for something else than a receipt, or inputs that cannot be read.
        """
        given = GivenInputs(history, more, items, scores, shown, guards, dislikes, region_answers)
        return replay_receipt(self._held, self.name, receipt, given, self._answer_again)

    def rank(
        self,
        *,
        user: Id | None = None,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        dislikes: Iterable[Id] | None = None,
        k: int | None = None,
        widen_to: int | None = None,
        seed: int | None = None,
        guards: Sequence[Guard] = (),
        weights: Mapping[Any, float] | None = None,
        profile_free: bool = False,
        shown: Any = None,
        now: Any = None,
        region_answers: Mapping[str, str] | None = None,
    ) -> Recommendation:
        """Return the slate of one request, retrieval included: the model's n best items not met, re-ranked.

        A new history is folded in exactly: the history of a user of the training data gets that user's scores. So is a
        user's with what they like `more` since the ranker was fitted; what they declined is still left out.
        `dislikes`, `guards`, `weights`, `profile_free` and `now` are as for `rerank`. What `exclude` and `require`
        close takes no place among the n. What is pinned has one, and so have the best of a group that `at_least` needs,
        if they are available, not met and not closed.
        `region_answers` ("like" or "dislike" by the name of a region, as `ask(regions=True)` tells them) are folded in
        with the history (`recsys.maths.region_answers`).

        With `widen_to`, the slate grows where the ranker is not sure: to as many picks, from k up to `widen_to`, as the
        most relevant candidates need so that one of them is expected to be liked (`Recommendation.like_probabilities`).

        With an `index`, those of them that it finds; all that is pinned, and as many of a group as it needs.

        Raises:
            RecsysError: as `rerank` does, and if the ranker has no model, or nothing says how likely a pick is liked
                and `widen_to` asks for it.
        """
        start = time.perf_counter()
        try:
            self._need_model()
            given = (user, history, more, weights, profile_free, shown, now, dislikes, region_answers)
            asks, dials = self._resolve_request(*given)
            k = self._resolve_k(k)
            held = self._combine_guards(guards, k)
            asks, held = self._close_stopped(user, hide_limited_items(asks, held.limits), held)
            found = self._retrieve(asks, held)
            if widen_to is not None:
                widen_to = self._resolve_k(widen_to)
                k = widen_slate(self.like_curve, self._likelihood_scorer, asks, found, k, widen_to)
            answer = self._answer_request(asks, found, k, seed, held, self.policy.n, dials)
        except RecsysError:
            self._counts.count_error()
            raise
        return self._counts.count(start, k, answer)

    def ask(
        self,
        n: int = 5,
        *,
        user: Id | None = None,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        dislikes: Iterable[Id] | None = None,
        unknown: Iterable[Id] = (),
        guards: Sequence[Guard] = (),
        shown: Any = None,
        now: Any = None,
        deficit_weight: float = DEFICIT_WEIGHT,
        regions: bool = False,
        region_answers: Mapping[str, str] | None = None,
    ) -> Questions:
        """Return at most n items to ask a user about: those whose answers tell the most about what the user likes.

        Whoever is asked is a `user`, a `history`, or with neither somebody of whom nothing is known. Answers are
        brought by the next request: likes in `history` (or `more` of a known user), `dislikes`, and here what is
        `unknown` to the user. No item is asked about that is met, answered, not available, excluded by guards or limits
        on exposures, or of a topic that the user stopped. `recsys.evidence.find_questions` says how they are chosen;
        `deficit_weight` is how much more a question counts in regions that the history lacks. A model without factors
        asks for the items whose answers differ most among users (entropy0).

        With `regions` the questions are about regions of own maps (`Questions.regions`), each told by the titles of its
        best-known items: no region of `region_answers` ("like", "dislike" or "unknown" by name), and none with fewer
        than three items that may be shown.

        Raises:
            RecsysError: as `rank` does, for an n below 1, a `deficit_weight` below 0, or regions where the ranker has
                no factors or own maps.
        """
        n = check_int("ranker: n", n, 1)
        weight = check_number("ranker: deficit_weight", deficit_weight, 0)
        about_regions = check_flag("ranker: regions", regions)
        if about_regions:
            refuse_regions(self.model, self.context, "questions about regions")
        asks, _ = self._resolve_request(user, history, more, None, False, shown, now, dislikes, region_answers)
        held = self._combine_guards(guards, min(n, MAX_SLOTS))
        asks, held = self._close_stopped(user, hide_limited_items(asks, held.limits), held)
        if about_regions:
            told = region_answers or {}
            return ask_about_regions(self.context, self._retrievable, asks, held, told, n, weight)
        return ask_questions(self.context, self._items, self._retrievable, asks, held, unknown, n, weight)

    def _retrieve(self, asks: RequestUser, held: RequestGuards) -> Candidates:
        """Return the candidates of a request that brings none."""
        own = build_user_context(self.context, asks).need_weighted_train("a ranker")
        closed = held.excluded_items[len(self._fixed_guards.excluded_items) :]  # the request's
        needed = self._needed_groups + held.list_needed_groups(len(self._fixed_guards.rules))
        among = (self._retrievable, self.policy, asks, own, closed, held.pinned_items, needed)
        if self.index is None:
            return retrieve_candidates(self._need_model(), self.context, *among)
        return retrieve_from_index(self.index, self._need_model(), self.context, *among)

    def _answer_again(self, request: Replay) -> Recommendation:
        """Return the answer to the request of a receipt, under its dials alone."""
        dials, asks = NO_DIALS, request.asker
        if request.dials or request.profile_free:
            given = (self._weights, self._dial_ranges, self._fast_path, (), request.dials or None)
            dials = resolve_dials(*given, asks.now, request.profile_free)
        held = self._combine_guards(request.guards, request.k)
        asks, held = self._close_stopped_items(asks.stopper, hide_limited_items(asks, held.limits), held)
        found = self._retrieve(asks, held) if request.found is None else request.found
        n = self.policy.n if request.found is None else None
        return self._answer_request(asks, found, request.k, request.seed, held, n, dials)

    def why_not(
        self,
        item: Id,
        *,
        items: Sequence[Id] | None = None,
        scores: Any = None,
        user: Id | None = None,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        dislikes: Iterable[Id] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Guard] = (),
        weights: Mapping[Any, float] | None = None,
        profile_free: bool = False,
        shown: Any = None,
        now: Any = None,
        max_removed: int = MAX_REMOVED,
        region_answers: Mapping[str, str] | None = None,
    ) -> WhyNot:
        """Return why an item is not in the slate of a request, and the smallest changes that let it in.

        The request is that of `rank`, or with `items` and `scores` that of `rerank`. Each change is confirmed by
        running the request with it. Tried are: the item out of the history, each guard left out, as many candidates as
        the item needs, the weight of each objective within its range (up to 64 times as much or as little, minimal
        to `WhyNot.tolerance`), and the history without at most `max_removed` of its items, chosen greedily by their
        influence.

        Raises:
            RecsysError: as `rank` or `rerank` does, for an unknown item, with the nearest one, and for an item that is
                in the slate.
        """
        name, max_removed = normalize_id(item), check_int("ranker: max_removed", max_removed, 0)
        check_known_item(self._items, name)
        if (items is None) != (scores is None):
            raise RecsysError("ranker: found one of items and scores, expected both, or neither")
        told = (user, history, more, weights, profile_free, shown, now, dislikes, region_answers)
        asks, _ = self._resolve_request(*told)
        k, given = self._resolve_k(k), None
        if items is None:
            self._need_model()
        else:
            given = parse_candidates(self._items, items, scores)

        def dial(factors: Mapping[str, float]) -> RequestDials:
            stored = self._dials_of_users.get(asks.code, ())
            parts = (self._weights, self._dial_ranges, self._fast_path)
            return resolve_dials(*parts, stored, factors, asks.now, bool(profile_free))

        def answer(
            asker: RequestUser, found: Candidates, held: RequestGuards, retrieved: int | None, dials: RequestDials
        ) -> Recommendation:
            return self._answer_request(asker, found, k, seed, held, retrieved, dials)

        def order(asker: RequestUser, found: Candidates) -> Candidates:
            scorer = self._likelihood_scorer
            return found if scorer is None else order_by_likelihood(scorer, asker, found)

        asked = {} if weights is None else check_factors(weights, self._dial_ranges, "ranker: weights")
        among = (self.model, self.context, self.available, self.index, self.policy)
        close = partial(self._close_stopped, user)
        trials = RequestTrials(*among, asks, self._combine_guards(guards, k), given, asked, dial, answer, close)
        code = self._items.codes[name]
        return Absence(trials, self._items, code, k, self._weights, self._dial_ranges, order, max_removed).explain()

    def rerank_many(
        self,
        items: Sequence[Sequence[Id]],
        scores: Sequence[Any],
        *,
        users: Sequence[Id] | None = None,
        histories: Sequence[Iterable[HistoryRow]] | None = None,
        more: Sequence[Iterable[HistoryRow]] | None = None,
        dislikes: Sequence[Iterable[Id]] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Sequence[Guard]] | None = None,
        weights: Sequence[Mapping[Any, float] | None] | None = None,
        profile_free: bool = False,
        shown: Sequence[Any] | None = None,
        now: Any = None,
    ) -> tuple[Recommendation | RecsysError, ...]:
        """Return the slates of several requests, each as from `rerank` alone, bit for bit, by blocks as `rank_many`.

        `guards`, `more`, `dislikes` and `shown` have a list for each request, and `weights` a mapping or None. A
        request that `rerank` would refuse, for its user, candidates, guards or weights, fails alone: in its place
        stands the `RecsysError`, which is not raised.

        Raises:
            RecsysError: for lists of unequal length, or a k, seed, `profile_free` or `now` that cannot be.
        """
        columns = read_columns(
            count_listed(items, "items"), users, histories, more=more, dislikes=dislikes, guards=guards,
            weights=weights, shown=shown, items=items, scores=scores,
        )  # fmt: skip
        return self._open_batch(columns, k, seed, profile_free, now).list_answers()

    def rank_many(
        self,
        *,
        users: Sequence[Id] | None = None,
        histories: Sequence[Iterable[HistoryRow]] | None = None,
        more: Sequence[Iterable[HistoryRow]] | None = None,
        dislikes: Sequence[Iterable[Id]] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Sequence[Guard]] | None = None,
        weights: Sequence[Mapping[Any, float] | None] | None = None,
        profile_free: bool = False,
        shown: Sequence[Any] | None = None,
        now: Any = None,
        region_answers: Sequence[Mapping[str, str] | None] | None = None,
    ) -> tuple[Recommendation | RecsysError, ...]:
        """Return the slates of several requests, each as from `rank` alone, bit for bit.

        They are answered by blocks on all cores (`recsys.rankers.request_blocks.answer_in_blocks` says what goes
        together), with one BLAS thread each: the whole process has no more meanwhile.
        `guards`, `more`, `dislikes` and `shown` have a list for each request, `weights` and `region_answers` a mapping
        or None. A request that `rank` would refuse, for its user, guards or weights, fails alone: in its place stands
        the `RecsysError`, which is not raised.

        Raises:
            RecsysError: for neither users nor histories, lists of unequal length, a k, seed, `profile_free` or `now`
                that cannot be, or if the ranker has no model.
        """
        columns = read_columns(
            count_users(users, histories), users, histories, more=more, dislikes=dislikes, guards=guards,
            weights=weights, shown=shown, region_answers=region_answers,
        )  # fmt: skip
        return self._open_batch(columns, k, seed, profile_free, now).list_answers()

    def make_slate_columns(
        self,
        items: Sequence[Sequence[Id]] | None = None,
        scores: Sequence[Any] | None = None,
        *,
        users: Sequence[Id] | None = None,
        histories: Sequence[Iterable[HistoryRow]] | None = None,
        more: Sequence[Iterable[HistoryRow]] | None = None,
        dislikes: Sequence[Iterable[Id]] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Sequence[Guard]] | None = None,
        weights: Sequence[Mapping[Any, float] | None] | None = None,
        profile_free: bool = False,
        shown: Sequence[Any] | None = None,
        now: Any = None,
        region_answers: Sequence[Mapping[str, str] | None] | None = None,
    ) -> SlateColumns:
        """Return the slates of several requests as columns of arrays, without an object for each request.

        They are those of `rank_many`, or with `items` and `scores` of `rerank_many`, whose arguments these are. Items
        are codes into `known_items`. What an answer tells only when it is asked is not there.

        Raises:
            RecsysError: as `rank_many` and `rerank_many` do.
        """
        count = count_users(users, histories) if items is None else count_listed(items, "items")
        columns = read_columns(
            count, users, histories, more=more, dislikes=dislikes, guards=guards, weights=weights, shown=shown,
            items=items, scores=scores, region_answers=region_answers,
        )  # fmt: skip
        return self._open_batch(columns, k, seed, profile_free, now).make_columns()

    def _open_batch(
        self, columns: BatchColumns, k: int | None, seed: int | None, profile_free: bool, now: Any
    ) -> RequestBatch:
        """Return the requests of a batch, all of one moment, and what answers them."""
        self._check_request(k, seed, profile_free, now)
        if columns.items is None:
            self._need_model()
        moment = int(time.time()) if now is None else parse_moment("ranker: now", now)
        read, plain = partial(self._read_request, profile_free, moment, k), None
        if profile_free is False:
            plain = self._find_plain_users(moment)
        reader = BatchReader(columns, read, self._resolve_k(k), self._items, plain)
        parts = BlockParts(self._slates, self._block_retrieval, self._fixed_guards, self._retrieve)
        return RequestBatch(parts, reader, self.policy.seed if seed is None else seed, self.name, self._counts)

    def _find_plain_users(self, now: int) -> PlainUsers | None:
        """Return the users of whom a request that brings nothing reads their likes alone."""
        context, closed = self.context, {} if self.forget_state is None else self.forget_state.closed
        if self._exposures.has_rows or context.time_weights is not None or context.one_offs is not None:
            return None
        others = {*self._dials_of_users, *closed}
        return PlainUsers(self._users.codes, context.need_train("a ranker"), others, self._fixed_guards, now)

    def _read_request(
        self,
        profile_free: bool,
        now: Any,
        k: int | None,
        *,
        user: Id | None = None,
        history: Iterable[HistoryRow] | None = None,
        more: Iterable[HistoryRow] | None = None,
        dislikes: Iterable[Id] | None = None,
        guards: Sequence[Guard] = (),
        weights: Mapping[Any, float] | None = None,
        shown: Any = None,
        items: Sequence[Id] | None = None,
        scores: Any = None,
        region_answers: Mapping[str, str] | None = None,
    ) -> PreparedRequest:
        """Return a request of a batch as `rank` and `rerank` read it; with `items` its candidates are the caller's."""
        given = (user, history, more, weights, profile_free, shown, now, dislikes, region_answers)
        asks, dials = self._resolve_request(*given)
        k = self._resolve_k(k)
        held = self._combine_guards(guards, k)
        asks, held = self._close_stopped(user, hide_limited_items(asks, held.limits), held)
        found = None if items is None else parse_candidates(self._items, items, scores)
        return PreparedRequest(asks, dials, k, held, found)

    def metrics(self) -> RankerMetrics:
        """Return what this process asked of the ranker: requests, latencies, unknown ids, short slates, unmet guards.

        Numbers only grow. They begin at 0 where a ranker is made or loaded, and in a fork; rankers that are made of it
        by dials, forgets and `refresh` go on with its numbers. `recsys.rankers.RankerMetrics` says what each counts.
        """
        return self._counts.read(self.name)

    def set_user_dials(
        self,
        dials: Mapping[Id, Mapping[Any, float]],
        *,
        until: Any = None,
        now: Any = None,
    ) -> "Ranker":
        """Return this ranker with dials stored for users, such as {"3": {"mmr": 2.0}}: what `rank(weights=...)` takes.

        They hold for every request of these users, until the moment `until` (seconds since 1970 or a `datetime`; None
        is for good). From then on it is as if they had not been set: one that was set before and has not ended holds
        again. `save` keeps them, and the ranker's own `name` stays what it is.

        Raises:
            RecsysError: for an unknown user, an unknown objective or a factor out of its range, dials that leave a user
                no objective, now or when one of them ends, an end that is over, or a `now` (the clock's time where it
                is None) before dials were set: a clock that runs backwards.
        """
        if not isinstance(dials, Mapping):
            raise RecsysError(
                f"ranker: dials are {dials!r}, expected users and weights such as {{'3': {{'mmr': 2.0}}}}"
            )
        added: dict[str, dict[str, float]] = {}
        for user, weights in dials.items():
            name, where = self._users.names[find_user_code(self._users, user)], f"ranker: dials of user '{user}'"
            added[name] = check_factors(weights, self._dial_ranges, where)
        moment = time.time() if now is None else parse_moment("ranker: now", now)
        return self._replace_user_dials(add_user_dials(self.user_dials, added, until, moment))

    def set_owned(self, user: Id, owned: Mapping[Id, Any]) -> "Ranker":
        """Return this ranker with items that a user says to own until moments, such as {"50": "2027-01-01"}.

        They are not shown to the user before, bought or not; None in the place of a moment ends it. The ranker has to
        be fitted with `repeats`; `save` keeps what is set, and the name of the policy changes with it.

        Raises:
            RecsysError: for an unknown user or item, a moment that cannot be read, or a ranker without `repeats`.
        """
        context = set_owned_until(self.context, find_user_code(self._users, user), self._items, owned)
        state = keep_owned(self.forget_state, user, owned)
        made = self.replace_parts(context, self.model, state, self.user_dials, NO_ITEMS, "")
        name = name_policy(made._collect_parts(), made._serialize_settings()) if state is None else state.name_policy()
        object.__setattr__(made, "name", name)
        return made

    def clear_user_dials(self, users: Sequence[Id]) -> "Ranker":
        """Return this ranker without the dials that are stored for some users.

        Raises:
            RecsysError: for an unknown user.
        """
        if isinstance(users, str) or not isinstance(users, Iterable):
            raise RecsysError(f"ranker: found {users!r} for users, expected a list of ids")
        names = [self._users.names[find_user_code(self._users, user)] for user in users]
        return self._replace_user_dials(remove_user_dials(self.user_dials, names))

    def copy_user_dials(self, other: "Ranker") -> "Ranker":
        """Return this ranker with the dials that are stored in another one: the artefact that this one replaces.

        Those of users whom it does not know are left out, with a `RecsysWarning` that says how many they are.

        Raises:
            RecsysError: for a dial of an objective that its blend does not have, or out of its range.
        """
        if other.user_dials is None:
            return self._replace_user_dials(None)
        kept, lost = select_known_users(other.user_dials, self._users)
        made = self._replace_user_dials(kept)
        if lost:
            said = f"ranker: dials of {lost:,} users are left out: it was not fitted to these users"
            warnings.warn(said, RecsysWarning, stacklevel=2)
        return made

    def confirm(self, user: Id, item: Id | None = None) -> "Ranker":
        """Return this ranker with an item of a user's history that was held back counted whole; None: all of them.

        An item is held back as a one-off, or of a guest run. The user's own rows are made anew with it. What is not
        held back counts whole already. `confirmed` lists all, for the next fit: `recsys.detect_one_offs(split, model,
        confirmed=ranker.confirmed)`, and `recsys.detect_guest_runs` alike.

        Raises:
            RecsysError: for an unknown user or item, with the nearest name, an item that the user did not like, or a
                ranker that holds nothing back.
        """
        made: Ranker = confirm(self, user, item)
        return made

    @property
    def confirmed(self) -> tuple[tuple[str, str], ...]:
        """The pairs of ids of user and item that were confirmed."""
        return list_confirmed(self)

    def follow_forget_list(self, path: str | Path, *, now: Any = None) -> "Ranker":
        """Return this ranker obeying a forget list: without the rows that lines of it name which hold `now`.

        `forget`, `stop` and `undo` write to it, and `refresh` reads what others wrote. `save` names it in the folder,
        and `load` obeys it.

        Raises:
            RecsysError: if there is no such file, it is damaged, or the ranker obeys another one.
        """
        made: Ranker = follow_list(self, path, now)
        return made

    def forget(self, *, user: Id | None = None, item: Id | None = None, until: Any = None, now: Any = None) -> "Ranker":
        """Write a forget to the list and return the ranker that obeys it: of an interaction, a person, or an item.

        With `user` and `item`, the item leaves what the user liked, met and was shown; with `user` alone, the ranker
        knows this person no longer; with `item` alone, nobody has the item and it is not shown. What is the user's own,
        such as the factor, is made anew of what is left, and popularity is counted without the rows. What everybody's
        rows made together follows later: `pending_forgets`. The forget holds until the moment `until`, None for good;
        an end takes effect at the next `refresh` or `load`.

        Raises:
            RecsysError: for an unknown user or item, with the nearest name, an end that is over, a clock that runs
                backwards, no forget list, or one that cannot be written: then nothing is changed.
        """
        made: Ranker = forget(self, user, item, until, now)
        return made

    def stop(self, user: Id, topic: str, *, until: Any = None, now: Any = None) -> "Ranker":
        """Write a stop to the list and return the ranker that obeys it: a topic is closed to a user.

        A topic is a feature of items, or a topic of the ranker's policy; where both have this name, its items are those
        of both. They are in no slate of this user, also of requests that are `profile_free`, and leave what the user
        liked and met, as with `forget`.

        Raises:
            RecsysError: as `forget` does, and for an unknown topic, with the nearest name.
        """
        made: Ranker = stop(self, user, topic, until, now)
        return made

    def undo(
        self, *, user: Id | None = None, item: Id | None = None, topic: str | None = None, now: Any = None
    ) -> "Ranker":
        """Write an undo to the list, of what `forget` or `stop` said with these ids, and return the ranker with it.

        Rows come back that the ranker was loaded or fitted with; others come back with the next fit.

        Raises:
            RecsysError: if no line that holds says so, and as `forget` does.
        """
        made: Ranker = undo(self, user, item, topic, now)
        return made

    def update(self, interactions: Any, *, positive: str | None = None, settings: Model | None = None) -> "Ranker":
        """Return this ranker with rows that came since it was fitted, without a refit: a new policy of a new name.

        `interactions` are the new rows: a split (`recsys.splits.no_holdout`, which chooses rows by consent, sources and
        purposes), or whatever `recsys.read_dataset` reads, of which `positive` says the likes ("rating >= 4"). Others
        are dislikes, unless the pair is liked in any row. Pairs that it has already stay as they are.

        Who has new rows gets the answers that `rank(user, more=...)` gave, new users those of `rank(history=...)`;
        counts are those of all rows. EASE, UserKNN and MostPopular are then those of a fit to all rows, up to rounding;
        ItemKNN, P3alpha and RP3beta too with `settings`, those that the model was fitted with. Item factors, own maps,
        scales and what else everybody's rows made together stay as they were: `last_update` says which. A half-life
        goes on from its moment: later rows count 1. Items that it does not know are left out, and counted. A forget
        list holds for the new rows too.

        Raises:
            RecsysError: for rows that cannot be read, without likes, or without times where the ranker keeps times;
                for a ranker with `repeats`, or that holds rows back; for a model that counts purchases or is none of
                this library;
                or settings of another model.
        """
        made: Ranker = update(self, interactions, positive, settings)
        return made

    @property
    def last_update(self) -> UpdateReport | None:
        """What the last `update` took in, what is exact since then and what is stale; None without one."""
        return find_update(self)

    def add_items(self, items: Any, *, known: Any = None, columns: Mapping[str, object] | None = None) -> "Ranker":
        """Return this ranker with items that came since it was fitted, without a refit: a new policy of a new name.

        `items` is a table as `recsys.read_dataset(items=...)` takes it: item_id, and what the catalogue says of known
        items: features, year, title. With `known`, a table of items that the ranker knows, they are described by the
        columns of that instead: names, numbers, words of titles, vectors (`recsys.data.new_items.describe_new_items`).
        `columns` says which column is which in both.

        What the model has of an item (factors, biases, counts of `most_popular`) is predicted by a ridge regression on
        what describes known items, its strength the one of the least leave-one-out error. A new item lies in the
        regions of the known one nearest by features; nobody met it, and its counts are 0. It is available at once, and
        an answer with it says so (`Recommendation.notes`). What it said of known items stays, to the bit. A later
        `update` takes in who likes it; the rest stays predicted until the next fit.

        Raises:
            RecsysError: for a table that cannot be read, lacks what describes known items, or has an id twice or one
                that is known; for an item of a sensitive topic; for a model with weights between users or items; for
                a ranker that holds one-offs back.
        """
        made: Ranker = add_items(self, items, known, columns)
        return made

    @property
    def added_items(self) -> AddedItems | None:
        """The items that `add_items` added, and how they were predicted; None without any."""
        return find_added(self.about)

    def refresh(self, *, now: Any = None) -> "Ranker":
        """Return the ranker that obeys what the list says by now: this one if nothing is new.

        A server calls it before requests: unless the file changed it takes one look at its size and time.

        Raises:
            RecsysError: if the list is not there, was replaced or is damaged, or the ranker has none.
        """
        made: Ranker = refresh(self, now)
        return made

    @property
    def pending_forgets(self) -> tuple[PendingForget, ...]:
        """What was fitted to rows that are forgotten and is not yet fitted again, by line of the forget list."""
        return () if self.forget_state is None else self.forget_state.pending

    @property
    def finished_forgets(self) -> FinishedForgets | None:
        """What became of all that was pending, where `recsys forget run` made the ranker anew; None elsewhere."""
        return find_finished_forgets(self)

    def replace_parts(
        self, context: Context, model: Scorer | None, state: ForgetState | None, dials: UserDials | None, gone: Ints,
        name: str,
    ) -> "Ranker":  # fmt: skip
        """Return a ranker that shares everything with this one but what forgetting changes; `gone` are items.

        Without a name it is named for its parts.
        """
        made = self._replace_user_dials(None)
        changed: dict[str, Any] = {"context": context, "model": model, "forget_state": state, "name": name}
        changed["_users"] = build_user_index(context.user_ids.tolist())
        if len(gone):
            available = self.available.copy()
            available[gone] = False
            changed |= {"available": available, "_items": drop_items(self._items, gone)}
            changed["_retrievable"] = self._fixed_guards.filter_available(available)
        vars(made).update(changed)
        object.__setattr__(made, "_exposures", ExposureStore(context.need_exposures("ranker"), made._items))
        held = HeldInputs(context, made._users, made._items, made._exposures, len(made.guards))
        object.__setattr__(made, "_held", held)
        made._store_user_dials(dials)
        made._lay_out_path()
        if not name:
            object.__setattr__(made, "name", name_policy(made._collect_parts(), made._serialize_settings()))
        return made

    @property
    def known_users(self) -> Mapping[str, int]:
        """The code of each user whom it knows, by id."""
        return self._users.codes

    @property
    def known_items(self) -> Mapping[str, int]:
        """The code of each item that it knows, by id."""
        return self._items.codes

    def replace_dials(self, dials: UserDials | None) -> "Ranker":
        """Return this ranker with another table of dials of users."""
        return self._replace_user_dials(dials)

    def _replace_user_dials(self, dials: UserDials | None) -> "Ranker":
        """Return a ranker that shares everything with this one but the dials of users."""
        made: Ranker = object.__new__(type(self))
        vars(made).update(vars(self))
        made._store_user_dials(dials)
        return made

    def _store_user_dials(self, dials: UserDials | None) -> None:
        object.__setattr__(self, "user_dials", dials)
        of_users = group_user_dials(dials, self._users, self._weights, self._dial_ranges)
        object.__setattr__(self, "_dials_of_users", of_users)

    def _resolve_request(
        self,
        user: Id | None,
        history: Iterable[HistoryRow] | None,
        more: Iterable[HistoryRow] | None,
        weights: Mapping[Any, float] | None,
        profile_free: bool,
        shown: Any,
        now: Any,
        dislikes: Iterable[Id] | None = None,
        region_answers: Mapping[str, str] | None = None,
    ) -> tuple[RequestUser, RequestDials]:
        """Return the user of a request, with what was shown to them, and its dials.

        With `profile_free` it is nobody, whoever asks, to whom nothing was shown.
        """
        now = int(time.time()) if now is None else parse_moment("ranker: now", now)
        if profile_free is not False and check_flag("ranker: profile_free", profile_free):
            asks, profile_free = RequestUser(-1, NO_ITEMS, now=now), True
        else:
            profile_free = False
            asks = resolve_request_user(self.context, self._users, self._items, user, history, more, now, dislikes)
            if region_answers is not None:
                refuse_regions(self.model, self.context, "region_answers")
                asks = add_region_answers(self.context, asks, region_answers)
            if shown is not None or self._exposures.has_rows:
                asks = self._exposures.add_to_request(asks, shown)
        stored = self._dials_of_users.get(asks.code, ())
        if weights is None and not stored and not profile_free:
            return asks, NO_DIALS
        return asks, resolve_dials(
            self._weights, self._dial_ranges, self._fast_path, stored, weights, now, profile_free
        )

    def _need_model(self) -> Scorer:
        if self.model is None:
            raise RecsysError("ranker: it has no model to rank with, expected items and scores: Ranker.rerank")
        return self.model

    def _check_request(self, k: int | None, seed: int | None, profile_free: bool, now: Any) -> None:
        self._resolve_k(k)
        check_int("ranker: seed", 0 if seed is None else seed)
        check_flag("ranker: profile_free", profile_free)
        parse_moment("ranker: now", 0 if now is None else now)

    def _collect_parts(self) -> RankerParts:
        optional = (self.index, self._stored_tables, self.likelihood, self.user_dials, self.topics)
        return collect_parts(self.model, self.context, self.available, *optional)

    def _serialize_settings(self) -> dict[str, Any]:
        """Return how it decides, as JSON can say it."""
        settings = {"blend": dict(self.blend), "scales": dict(self.scales), "policy": asdict(self.policy)}
        curve = {} if self.like_curve is None else {"like_curve": asdict(self.like_curve)}
        return (
            settings | _guard_settings(self.guards) | ({"control": dict(self.control)} if self.control else {}) | curve
        )

    def _resolve_k(self, k: int | None) -> int:
        if k is None:
            return self.policy.k
        return check_int("ranker: k", k, 1, max(MAX_SLOTS, len(self._items.names)))  # guards are laid out by slot

    def _combine_guards(self, guards: Sequence[Guard], k: int) -> RequestGuards:
        """Return the limits of a request, the ranker's own first."""
        none = isinstance(guards, tuple | list) and not guards
        return self._fixed_guards if none else self._fixed_guards + resolve_fixed_guards(guards, self.context, k)

    def _close_stopped(
        self, user: Id | None, asks: RequestUser, held: RequestGuards
    ) -> tuple[RequestUser, RequestGuards]:
        """Return the user and the guards of a request with what this user stopped closed, whatever it may read."""
        if user is None or self.forget_state is None or not self.forget_state.closed:
            return asks, held
        return self._close_stopped_items(self._users.codes.get(normalize_id(user), -1), asks, held)

    def _close_stopped_items(
        self, code: int, asks: RequestUser, held: RequestGuards
    ) -> tuple[RequestUser, RequestGuards]:
        closed = None if self.forget_state is None else self.forget_state.closed.get(code)
        return (asks, held) if closed is None else close_items(closed, asks._replace(stopper=code), held, RequestGuards)

    def _answer_request(
        self,
        request_user: RequestUser,
        found: Candidates,
        k: int,
        seed: int | None,
        request_guards: RequestGuards,
        max_retrieved: int | None,
        dials: RequestDials,
    ) -> Recommendation:
        """Return the answer to a request; at most `max_retrieved` candidates are retrieved, None: the caller's."""
        seed = self.policy.seed if seed is None else check_int("ranker: seed", seed)
        request = PreparedRequest(request_user, dials, k, request_guards)
        return self._slates.answer(self._slates.make(request, found, seed, max_retrieved), self.name)

    def _warm_up(self) -> None:
        """Answer a request of each kind, so that code is compiled and tables are made."""
        names, n = self._items.names, min(self.policy.n, len(self._items.names))
        items, worth = names[:n], np.linspace(1.0, 0.0, n, dtype=np.float32)
        if not names:
            return
        known = [{"user": name} for name in islice(self.known_users, 1)]  # of those who are not forgotten
        for who in ({}, {"history": names[:1]}, *known):
            self.rerank(items, worth, **who).explanations()  # type: ignore[arg-type]
        self._items.look_up(np.arange(1))


def _rebuild_forgetful_ranker(base: Ranker, path: Path) -> Ranker:
    """Return the ranker that was pickled, without what its forget list says now."""
    return base.follow_forget_list(path)


def _rebuild_ranker(parts: Mapping[str, Any]) -> Ranker:
    """Return the ranker that was pickled: guards are those that a config says."""
    return Ranker(**{**parts, "guards": deserialize_guards(parts["guards"])})


def _guard_settings(guards: Sequence[Guard]) -> dict[str, Any]:
    """Return guards as settings: none where there are none."""
    return {"guards": serialize_guards(guards)} if guards else {}
