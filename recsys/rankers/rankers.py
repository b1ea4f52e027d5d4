"""The ranker: what production imports."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from recsys.blends import Blend
from recsys.kernels import rules
from recsys.models.fits import refuse_problem
from recsys.rankers import fits, stores
from recsys.rankers.answers import Answer
from recsys.rankers.batches import answer_or_error, guards_of_each, who_asks
from recsys.rankers.explanations import sentences
from recsys.rankers.express import Express, express
from recsys.rankers.indexes import Index, index_for, retrieve_by
from recsys.rankers.limits import (
    Limits,
    allowed,
    distances,
    limit,
    notes,
    padded,
    pinned,
    read,
    ready,
    short,
    told,
    unmet,
)
from recsys.rankers.picks import pick
from recsys.rankers.policies import Policy
from recsys.rankers.records import Parts, check_parts, name_policy, parts_of, stored_tables
from recsys.rankers.requests import Asker, Candidates, Id, Ids, asker, candidates, codes_by_number, context_for
from recsys.rankers.retrievals import retrieve, ties
from recsys.slates import Scale
from recsys.types import Context, Guard, Pool, RecsysError, Rule, Scorer, Split, TasteMap
from recsys.types.arrays import Bools, Ints
from recsys.types.numbers import whole

LONGEST = 100_000  # slots of a request, however few items there are


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
    _limits: Limits = field(init=False, repr=False)
    _open: Bools = field(init=False, repr=False)  # (I,) what is available and not excluded by the guards
    _needed: tuple[tuple[Ints, int], ...] = field(init=False, repr=False)  # groups, and how many of each they ask for
    _items: Ids = field(init=False, repr=False)
    _users: Ids = field(init=False, repr=False)
    _express: Express | None = field(init=False, repr=False)
    _tables: tuple[str, ...] = field(init=False, repr=False)  # derived, which are saved and named

    def __post_init__(self) -> None:
        """Make what every request needs, so that none of them waits for it."""
        object.__setattr__(self, "blend", MappingProxyType(dict(self.blend)))
        object.__setattr__(self, "scales", MappingProxyType(dict(self.scales)))
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))
        ids = self.context.item_ids
        by_number = self.context.tables.get("codes by number", lambda: codes_by_number(ids))
        object.__setattr__(self, "_items", Ids(ids, by_number))
        object.__setattr__(self, "_users", Ids(self.context.user_ids))
        self.context.tables.get("codes of items", lambda: self._items.codes)
        object.__setattr__(self, "_limits", limit(self.guards, self.context, self.policy.k))
        object.__setattr__(self, "_open", self._limits.opened(self.available))
        object.__setattr__(self, "_needed", self._limits.needed())
        ties(self.context, self.policy)
        object.__setattr__(self, "_express", express(self.context, self.blend, self.scales, self.policy))
        self._touch()
        object.__setattr__(self, "_tables", stored_tables(self.context))
        if not self.name:
            object.__setattr__(self, "name", name_policy(self._parts(), self._settings()))

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
        history: str = "exclude",
        reach: float = 0.0,
        guards: Sequence[Guard] = (),
        recall: float = 1.0,
    ) -> "Ranker":
        """Return the ranker of a fitted model and a blend, for the users and items of `split`.

        What users met is what stands in `split.train`: to serve, fit the model to everything
        (`recsys.splits.whole`) and give that split. Scale constants are fitted on the candidates of at most 2,048
        evenly spaced users: the model's n best, or those of `pool`, made of a sample of scores with
        `Pool.from_frame(..., split=split)`. Scores that come with requests are on that scale; with `pool`, a model is
        not needed, and a ranker without one only re-ranks. `guards` (`recsys.guards`) hold for every request; a slot
        that is kept for an item is not there where a request asks for a shorter slate.

        With `recall` below 1, `rank` retrieves by an index (extra `index`) that finds this share of the n best, on
        average over users; `index` of the ranker says what it found of those of 256 users. 1 is exact.

        Raises:
            RecsysError: for whatever `recsys.rerank` or `recsys.candidates` would refuse, weights per user, a guard
                that no config could name, a pool of another split, neither a model nor a pool, or an index where
                there are no factors, or with `reach`, and for a model whose scores are not finite or have no spread.
        """
        policy = Policy(k, n, order, temperature, epsilon, seed, history, reach)
        plain, _ = fits.plain(blend), told(guards)
        if not isinstance(split, Split):
            raise RecsysError(
                f"ranker: found a {type(split).__name__}, expected a Split: recsys.splits.whole makes one"
            )
        if model is not None:
            refuse_problem("ranker", model, split.train)
        around = fits.surroundings(split, model, maps, seed, guards, k)
        index = index_for(model, around, limit(guards, around, k).opened(split.available), policy, recall)
        scales = fits.scales_of(around, split, model, pool, plain, scale, policy)
        fits.prime(around, model)
        about = {"split_fingerprint": split.fingerprint}
        return cls(model, around, plain, scales, policy, split.available, "", tuple(guards), index, about)

    def save(self, folder: str | Path, *, about: Mapping[str, Any] | None = None) -> Path:
        """Write the ranker to `folder`, whole or not at all; one that is there already is replaced. No pickles.

        The manifest says when it was saved, with which versions and commit, and the fingerprint of its split; `about`
        adds to that what JSON can say. None of it is part of the policy's name.

        Raises:
            RecsysError: if the model is of no class of this library, or `folder` is something else than a saved ranker.
        """
        return stores.save(self._parts(), self._settings(), self.name, Path(folder), {**self.about, **(about or {})})

    @classmethod
    def load(cls, folder: str | Path, *, verify: bool = False, own: Collection[str] = ()) -> "Ranker":
        """Return the ranker that `save` wrote to `folder`, ready for requests: what it compiles is compiled.

        Its arrays are mapped from the files, so that processes share them, and looked through once: their shapes and
        types, whether numbers are finite, and whether codes are those of users, items and regions that there are.
        Settings and the header and size of every file are always held against the manifest's digest, and so is the
        content of every file but text and floating-point arrays above 1 MiB; with `verify` (`recsys warmup`) that of
        those too. A folder of a newer `recsys` is refused; a warning of one line names packages of other releases than
        those that it was saved with. Objectives and guards of somebody's own ("package.module:function") are imported
        only if `own` names them: a folder cannot run code.

        Raises:
            RecsysError: if the folder is damaged, of another format, of a newer `recsys`, no saved ranker, or names
                others of these.
        """
        parts, context, settings, name, about = stores.load(Path(folder), verify, own)
        model, index = (one[0] if one else None for one in (parts.models, parts.indexes))
        decided = (settings["blend"], settings["scales"], settings["policy"])
        try:
            check_parts(parts, context)
            fits.prime(context, model)
            return cls(model, context, *decided, parts.available, name, settings["guards"], index, about)
        except (RecsysError, np.linalg.LinAlgError) as error:
            raise RecsysError(f"{folder}: is damaged: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy a ranker as what it is made of: what requests need is made anew. Its arrays are copied."""
        parts = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        plain = {name: dict(parts[name]) for name in ("blend", "scales", "about")}
        return _remade, ({**parts, **plain, "guards": told(self.guards)},)

    def rerank(
        self,
        items: Sequence[Id],
        scores: Any,
        *,
        user: Id | None = None,
        history: Iterable[Id] | None = None,
        more: Iterable[Id] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Guard] = (),
    ) -> Answer:
        """Return the slate of one request whose candidates and scores are the caller's; more is better.

        Who asks is a `user` whom it knows, and who may like `more` items since it was fitted, or anybody with a
        `history` of liked items, or with neither somebody of whom nothing is known. Candidates may come in any order;
        equal scores keep theirs. Items that it does not know are left out and reported (`Answer.unknown_items`).
        `{"relevance": 1}` gives the order of the scores.
        `guards` hold for this request, beside those of the ranker; what cannot be met is met in the order that
        `recsys.guards` says, and told (`Answer.unmet`).

        Raises:
            RecsysError: for an unknown user, both user and history, scores that do not go with the items, an item that
                is there twice, a k below 1, or as a guard says.
        """
        asks = asker(self.context, self._users, self._items, user, history, more)
        k = self._length(k)
        return self._answer(asks, candidates(self._items, items, scores), k, seed, self._held(guards, k), None)

    def rank(
        self,
        *,
        user: Id | None = None,
        history: Iterable[Id] | None = None,
        more: Iterable[Id] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Guard] = (),
    ) -> Answer:
        """Return the slate of one request, from retrieval on: the model's n best of what was not met, re-ranked.

        A new history is folded in exactly: the history of a user of the training data gets that user's scores. So is a
        user's with what they like `more` since the ranker was fitted; what they declined is still left out.
        `guards` are as for `rerank`. What `exclude` and `require` close takes no place among the n. What is pinned has
        one, and so have the best of a group that `at_least` needs, if they are available, not met and not closed.

        With an `index`, those of them that it finds; all that is pinned, and as many of a group as it needs.

        Raises:
            RecsysError: as `rerank` does, and if the ranker has no model.
        """
        model = self._need_model()
        asks = asker(self.context, self._users, self._items, user, history, more)
        own = context_for(self.context, asks).need_train("a ranker")
        k = self._length(k)
        held = self._held(guards, k)
        closed = held.closed[len(self._limits.closed) :]  # the request's
        needed = self._needed + held.needed(len(self._limits.rules))
        among = (model, self.context, self._open, self.policy, asks, own, closed, held.pinned, needed)
        found = retrieve(*among) if self.index is None else retrieve_by(self.index, *among)
        return self._answer(asks, found, k, seed, held, self.policy.n)

    def rerank_many(
        self,
        items: Sequence[Sequence[Id]],
        scores: Sequence[Any],
        *,
        users: Sequence[Id] | None = None,
        histories: Sequence[Iterable[Id]] | None = None,
        more: Sequence[Iterable[Id]] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Sequence[Guard]] | None = None,
    ) -> tuple[Answer | RecsysError, ...]:
        """Return the slates of several requests: each is that of `rerank`, whoever else is asked for.

        `guards` and `more` have a list for each request. A request that `rerank` would refuse, for its user, candidates
        or guards, fails alone: in its place stands the `RecsysError`, which is not raised.

        Raises:
            RecsysError: for lists of unequal length, or a k or seed that cannot be.
        """
        who = who_asks(len(items), users, histories, more)
        self._check(k, seed)
        if len(scores) != len(items):
            raise RecsysError(
                f"ranker: found {len(items)} lists of items and {len(scores)} of scores, expected as many"
            )
        each = zip(items, scores, who, guards_of_each(len(items), guards), strict=True)
        settings: dict[str, Any] = {"k": k, "seed": seed}
        return tuple(
            answer_or_error(self.rerank, one, worth, guards=own, **settings, **asks) for one, worth, asks, own in each
        )

    def rank_many(
        self,
        *,
        users: Sequence[Id] | None = None,
        histories: Sequence[Iterable[Id]] | None = None,
        more: Sequence[Iterable[Id]] | None = None,
        k: int | None = None,
        seed: int | None = None,
        guards: Sequence[Sequence[Guard]] | None = None,
    ) -> tuple[Answer | RecsysError, ...]:
        """Return the slates of several requests: each is that of `rank`, whoever else is asked for.

        `guards` and `more` have a list for each request. A request that `rank` would refuse, for its user or guards,
        fails alone: in its place stands the `RecsysError`, which is not raised.

        Raises:
            RecsysError: for neither users nor histories, lists of unequal length, a k or seed that cannot be, or if the
                ranker has no model.
        """
        self._check(k, seed)
        self._need_model()
        given = users if users is not None else histories
        if given is None:
            raise RecsysError("ranker: found neither users nor histories, expected one of them")
        each = zip(who_asks(len(given), users, histories, more), guards_of_each(len(given), guards), strict=True)
        return tuple(answer_or_error(self.rank, k=k, seed=seed, guards=own, **asks) for asks, own in each)

    def _need_model(self) -> Scorer:
        if self.model is None:
            raise RecsysError("ranker: it has no model to rank with, expected items and scores: Ranker.rerank")
        return self.model

    def _check(self, k: int | None, seed: int | None) -> None:
        self._length(k)
        whole("ranker: seed", 0 if seed is None else seed)

    def _parts(self) -> Parts:
        return parts_of(self.model, self.context, self.available, self.index, self._tables)

    def _settings(self) -> dict[str, Any]:
        """Return how it decides, as JSON can say it."""
        settings = {"blend": dict(self.blend), "scales": dict(self.scales), "policy": asdict(self.policy)}
        return settings | _told(self.guards)

    def _length(self, k: int | None) -> int:
        most = max(LONGEST, len(self._items.names))  # guards are laid out for each slot that is asked for
        return self.policy.k if k is None else whole("ranker: k", k, 1, most)

    def _held(self, guards: Sequence[Guard], k: int) -> Limits:
        """Return the limits of a request, the ranker's own first."""
        none = isinstance(guards, tuple | list) and not guards
        return self._limits if none else self._limits + limit(guards, self.context, k)

    def _answer(
        self, asks: Asker, found: Candidates, k: int, seed: int | None, held: Limits, most: int | None
    ) -> Answer:
        """Return the answer to a request; `most` candidates are retrieved at most, None where they are the caller's."""
        seed = self.policy.seed if seed is None else whole("ranker: seed", seed)
        asked: tuple[Rule, ...] = ()
        pool = None
        if held.guards:
            around = self.context if None not in held.rules else context_for(self.context, asks)
            pool = padded(found, k, around)
            asked = held.of(pool, k, self.policy.order)
        if not len(found.items):
            return self._empty(asks, found, k, seed, held, asked, most)
        if self._express is not None:
            laid = rules.NONE if pool is None else rules.lay(asked, pool, k)
            picked = self._express.pick(asks, found, k, seed, laid)
        else:
            of_slate = ready(held.guards, asked)
            picked = pick(self.context, self.blend, self.scales, self.policy, asks, found, k, seed, of_slate)
        codes, names = found.items[picked.places], self._items.names
        contributions, shown = picked.contributions, found.items
        far: dict[str, int] = {}
        lacking: tuple[str, ...] = ()
        if asked:
            distance = distances(asked, codes, k)
            far, lacking = unmet(held.guards, distance), notes(names, held.guards, asked, distance, codes)
            shown = allowed(shown, asked)
        if len(codes) < k:
            lacking += (self._short(len(codes), k, len(found.items), len(shown), held, most),)
        return Answer(
            items=named(names, codes),
            contributions=contributions,
            objectives=picked.objectives,
            relevance=found.scores[picked.places],
            places=picked.places + 1,
            log_propensity=picked.log_propensity,
            seed=seed,
            policy=self.name,
            unknown_items=found.unknown,
            unknown_history=asks.unknown,
            unmet=far,
            notes=lacking,
            best=partial(named, names, shown[:k]),
            explain=partial(
                sentences, self.context, codes, asks.history, contributions, picked.objectives, pinned(asked)
            ),
        )

    def _short(self, picks: int, k: int, found: int, allowed: int, held: Limits, most: int | None) -> str:
        """Return a sentence about why a slate has fewer than k picks."""
        closed = int((~held.opened(np.ones(len(self._items.names), bool))).sum())
        return short(picks, k, found, found - allowed, most, closed, len(self._items.names))

    def _empty(
        self, asks: Asker, found: Candidates, k: int, seed: int, held: Limits, asked: tuple[Rule, ...],
        most: int | None,
    ) -> Answer:  # fmt: skip
        """Return the answer where there is nothing to rank."""
        objectives = tuple(sorted(self.blend))
        none, far = np.zeros(0, np.float32), distances(asked, found.items, k)
        return Answer(
            items=(), contributions=np.zeros((0, len(objectives)), np.float32), objectives=objectives,
            relevance=none, places=np.zeros(0, np.int64), log_propensity=None, seed=seed,
            policy=self.name, unknown_items=found.unknown, unknown_history=asks.unknown,
            unmet=unmet(held.guards, far), notes=(
                *notes(self._items.names, held.guards, asked, far, found.items), self._short(0, k, 0, 0, held, most),
            ),
            best=tuple, explain=tuple,
        )  # fmt: skip

    def _touch(self) -> None:
        """Answer a request of each kind, so that what is compiled, or made when first asked for, is there."""
        names, n = self._items.names, min(self.policy.n, len(self._items.names))
        items, worth = names[:n], np.linspace(1.0, 0.0, n, dtype=np.float32)
        if not names:
            return
        for who in ({}, {"history": names[:1]}, *([{"user": self._users.names[0]}] if self._users.names else [])):
            self.rerank(items, worth, **who).sentences()  # type: ignore[arg-type]
        self._items.look_up(np.arange(1))


def _remade(parts: Mapping[str, Any]) -> Ranker:
    """Return the ranker that was pickled: guards are those that a config says."""
    return Ranker(**{**parts, "guards": read(parts["guards"])})


def _told(guards: Sequence[Guard]) -> dict[str, Any]:
    """Return guards as settings: none where there are none."""
    return {"guards": told(guards)} if guards else {}


def named(names: Sequence[str], codes: Ints) -> tuple[str, ...]:
    """Return the ids of items, by their codes."""
    return tuple([names[code] for code in codes.tolist()])
