"""A ranker with items that came since it was fitted: what it says of them is predicted from their features."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from recsys.data.new_items import DescribedItems, describe_catalogue, describe_new_items
from recsys.maths.blocks import iter_blocks
from recsys.models.new_items import ItemPrediction, append_items, predict_items
from recsys.objectives.derived_tables import FACTOR_GRAM, ITEM_VECTORS, TABLES, TableKey
from recsys.rankers.forgets import FORGOTTEN, restore_dials
from recsys.rankers.indexes import Index, append_to_lists
from recsys.types import Context, Items, RecsysError, Scorer, TableCache, TasteMap
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Longs
from recsys.types.pools import ConstantFunction
from recsys.types.topics import Topic, TopicItems, TopicPolicy

Ranker = Any  # `recsys.rankers.Ranker`, which imports this module
ADDED = "added_items"  # of what a ranker says of itself: its report
_PLACE = "ranker: add_items"
MAX_NAMED = 3  # names that a sentence lists


@dataclass(frozen=True)
class AddedItems:
    """The items of a ranker that came after its fit, and how the last of them were described and predicted."""

    policy: str  # the name of the policy that they were added to
    items: tuple[str, ...]  # ids of all that are predicted, those of earlier additions among them
    added: int  # the last so many of these, of which the rest says how
    columns: tuple[str, ...]  # by which they are described
    predictions: tuple[ItemPrediction, ...]  # of the parts of the model
    unknown: tuple[str, ...] = ()  # names of features that no known item has
    missing: int = 0  # numbers and vectors that count as the mean
    undescribed: int = 0  # items of which nothing is known: they are predicted as the mean, and lie in no region
    left_out: tuple[str, ...] = ()  # columns that nothing of known items goes with

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {**plain, "predictions": [one._asdict() for one in self.predictions]}

    @classmethod
    def from_dict(cls, told: Any) -> "AddedItems":
        """Return what `to_dict` told.

        Raises:
            RecsysError: for anything else.
        """
        try:
            lists = {name: tuple(map(str, told[name])) for name in ("items", "columns", "unknown", "left_out")}
            predictions = tuple(ItemPrediction(**one) for one in told["predictions"])
            return cls(**{**told, **lists, "predictions": predictions})
        except (KeyError, TypeError):
            raise RecsysError("found no report of added items, expected one as it was written") from None

    def describe(self) -> tuple[str, ...]:
        """Return sentences: how many items came, by what they are described, and how well that predicts."""
        said = [f"{self.added:,} items are added, described by {', '.join(self.columns)}"]
        for one in self.predictions:
            how = "features say nothing: the mean of other items"
            if one.strength is not None:
                share = f"features explain {one.explained:.1%} of the spread over items"
                how = f"{share}, each left out (ridge {one.strength:.3g})"
            said.append(f"{one.part}: {how}")
        for many, what in (
            (len(self.unknown), f"features that no known item has: {_list_some(self.unknown)}"),
            (self.missing, "numbers that are missing count as the mean"),
            (self.undescribed, "items of which nothing is known: the mean of other items, and in no region"),
            (len(self.left_out), f"columns that known items do not have, left out: {_list_some(self.left_out)}"),
        ):
            if many:
                said.append(f"{many:,} {what}")
        return tuple(said)


def _list_some(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")


def add_items(ranker: Ranker, items: Any, known: Any, columns: Mapping[str, object] | None) -> Ranker:
    """Return a ranker with items that came since it was fitted, under the forget list that it obeys."""
    state = ranker.forget_state
    base = ranker if state is None else restore_dials(ranker, state)
    made = _add_to_base(base, items, known, columns)
    return made if state is None else made.follow_forget_list(state.forget_list.path)


def find_added(about: Mapping[str, Any]) -> AddedItems | None:
    """Return the report of the items that were added to a ranker, None where there are none.

    Raises:
        RecsysError: if what it says of them is none.
    """
    told = about.get(ADDED)
    return None if told is None else AddedItems.from_dict(told)


def mark_added(about: Mapping[str, Any], codes: Mapping[str, int]) -> Bools | None:
    """Return which items of a ranker are predicted, (I,); None where none are.

    Raises:
        RecsysError: if what it says of them is none, or names others.
    """
    found = find_added(about)
    if found is None or not found.items:
        return None
    if lost := [name for name in found.items if name not in codes]:
        raise RecsysError(f"added_items names '{lost[0]}', expected items of the ranker")
    marked = np.zeros(len(codes), bool)
    marked[[codes[name] for name in found.items]] = True
    return marked


def describe_added(marked: Bools | None, codes: Anys, names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each pick that came after the fit; `codes` (k,) are the picks."""
    if marked is None:
        return ()
    return tuple(
        f"item '{names[code]}' is new: its scores are predicted from its features"
        for code in codes[marked[codes]].tolist()
    )


def list_predicted(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an update leaves predicted, as a list of stale parts says it."""
    found = find_added(about)
    return () if found is None or not found.items else (f"{len(found.items):,} added items: predicted from features",)


def predict_again(
    model: Scorer | None, catalogue: Items, train: Csr, about: Mapping[str, Any]
) -> tuple[Scorer | None, dict[str, Any]]:
    """Return a model that was fitted anew with its added items that nobody likes predicted, and what `about` says then.

    They are described by the catalogue, whatever table they were added with.
    """
    found = find_added(about)
    if found is None or model is None:
        return model, {}
    liked = np.bincount(train.indices, minlength=train.shape[1]) > 0
    wanted = np.isin(catalogue.ids, np.array(found.items)) & ~liked
    if not wanted.any():
        return model, {ADDED: replace(found, items=()).to_dict()}
    made, told = predict_items(model, describe_catalogue(catalogue), liked, wanted)
    left = replace(found, items=tuple(catalogue.ids[wanted].tolist()), columns=("catalogue",), predictions=told)
    return made, {ADDED: left.to_dict()}


def _add_to_base(base: Ranker, items: Any, known: Any, columns: Mapping[str, object] | None) -> Ranker:
    around = base.context
    if around.one_offs is not None:
        raise RecsysError(
            f"{_PLACE}: it holds one-offs back, which are told by vectors of all items, expected a fit to all rows"
        )
    described = describe_new_items(items, around.need_items_table(_PLACE), known, columns, f"{_PLACE}: items")
    n, size = len(described.items.ids), len(around.item_ids)
    counts = np.bincount(around.need_train(_PLACE).indices, minlength=size)
    before, model = mark_added(base.about, base.known_items), base.model
    told: tuple[ItemPrediction, ...] = ()
    fitted = (counts > 0) & described.has_row & (True if before is None else ~before)
    if int(fitted.sum()) < 2:
        raise RecsysError(f"{_PLACE}: {int(fitted.sum())} known items are liked and described, expected two at least")
    if model is not None:
        own = np.where(described.is_described[:, None], described.new, described.known[fitted].mean(axis=0))
        features, new = np.vstack([described.known, own]), np.arange(size + n) >= size
        model = append_items(model, n, _PLACE)
        model, told = predict_items(model, features, np.append(fitted, np.zeros(n, bool)), new)
    nearest = _find_nearest(described, fitted, counts)
    context = _widen_context(around, described.items, model, nearest)
    return replace(
        base,
        context=context,
        model=model,
        name="",
        available=np.append(base.available, np.ones(n, bool)),
        index=_widen_index(base.index, model, size),
        likelihood=None
        if base.likelihood is None
        else base.likelihood.move_to_items(around.item_ids, context.item_ids),
        topics=_widen_topics(base.topics, described.items),
        about={
            **{name: value for name, value in base.about.items() if name != FORGOTTEN},
            ADDED: _report(base, described, told).to_dict(),
        },
    )


def _report(base: Ranker, described: DescribedItems, told: tuple[ItemPrediction, ...]) -> AddedItems:
    earlier = find_added(base.about)
    ids = tuple(described.items.ids.tolist())
    return AddedItems(
        policy=base.name,
        items=(*(() if earlier is None else earlier.items), *ids),
        added=len(ids),
        columns=described.columns,
        predictions=told,
        unknown=described.unknown,
        missing=described.missing,
        undescribed=int((~described.is_described).sum()),
        left_out=described.left_out,
    )


def _find_nearest(described: DescribedItems, fitted: Bools, counts: Longs) -> Longs:
    """Return the code of the known item nearest to each new one, (n,), -1 for one of which nothing is known.

    By the cosine of what describes them; of equally near ones the one that most users like, then the first.
    """
    there = np.flatnonzero(fitted & described.known.any(axis=1))
    there = there[np.argsort(-counts[there], kind="stable")]
    found = np.full(len(described.new), -1, np.int64)
    if not len(there):
        return found
    theirs = _scale_rows(described.known[there])
    for part in iter_blocks(len(found), 256):
        cosines = np.round(_scale_rows(described.new[part]) @ theirs.T, 9)
        found[part] = np.where(described.is_described[part], there[cosines.argmax(axis=1)], -1)
    return found


def _scale_rows(rows: Doubles) -> Doubles:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def _widen_context(context: Context, new: Items, model: Scorer | None, nearest: Longs) -> Context:
    """Return a context with new items at the end, which nobody met, in the regions of known ones nearest to them."""
    size = len(context.item_ids) + len(new.ids)
    changed: dict[str, Any] = {
        name: _widen(one, size)
        for name in ("train", "dislikes", "times")
        if (one := getattr(context, name)) is not None
    }
    if (aged := context.time_weights) is not None:
        changed["time_weights"] = replace(aged, weights=_widen(aged.weights, size))
    if (runs := context.guest_runs) is not None:
        changed["guest_runs"] = replace(runs, scores=_widen(runs.scores, size))
    if (bought := context.repeats) is not None:
        scores, due = (_widen(one, size) for one in (bought.scores, bought.due_from))
        changed["repeats"] = replace(bought, scores=scores, due_from=due)
    items = _join_items(context.need_items_table(_PLACE), new)
    maps = tuple(_widen_map(one, nearest) for one in context.maps)
    return replace(
        context,
        item_ids=items.ids,
        items=items,
        factors=None if model is None else model.factors,
        make_maps=ConstantFunction(maps),
        tables=_keep_tables(context, size),
        **changed,
    )


def _widen(matrix: Csr, size: int) -> Csr:
    return Csr((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], size))


def _join_items(known: Items, new: Items) -> Items:
    """Return a catalogue with new items at the end; names of features that it did not have stand at the end too."""
    place = {name: column for column, name in enumerate(known.feature_names)}
    names = (*known.feature_names, *(name for name in new.feature_names if name not in place))
    place = {name: column for column, name in enumerate(names)}
    columns = np.array([place[name] for name in new.feature_names], np.int64)
    old, own = known.features, new.features
    features = Csr(
        (
            np.concatenate([old.data, own.data]),
            np.concatenate([old.indices, columns[own.indices] if len(columns) else own.indices]),
            np.concatenate([old.indptr, old.indptr[-1] + own.indptr[1:]]),
        ),
        shape=(old.shape[0] + own.shape[0], len(names)),
    )
    features.sort_indices()
    ids, titles, years = (
        np.concatenate([getattr(one, name) for one in (known, new)]) for name in ("ids", "titles", "years")
    )
    return Items(ids, titles, features, names, years.astype(known.years.dtype))


def _widen_map(taste_map: TasteMap, nearest: Longs) -> TasteMap:
    """Return a map in which a new item has the shares of the known one nearest to it; none where there is no such."""
    found = np.flatnonzero(nearest >= 0)
    taken = Csr(
        (np.ones(len(found), np.float32), (found, nearest[found])), shape=(len(nearest), taste_map.assignment.shape[0])
    )
    rows = Csr(taken @ taste_map.assignment)
    made = Csr(sparse.vstack([taste_map.assignment, rows], format="csr"))
    return replace(taste_map, assignment=made.astype(taste_map.assignment.dtype))


def _keep_tables(context: Context, size: int) -> TableCache:
    """Return the tables that items which nobody met do not change: those without a row of each item, and padded ones.

    Others are made anew where they are asked for.
    """
    tables = TableCache()
    for key, value in context.tables.items():
        if not isinstance(key, TableKey) or (saved := TABLES[key.name].saved) is None:
            continue
        if key == TableKey(ITEM_VECTORS.name, "cooccurrence"):
            value = np.concatenate([value, np.zeros((size - len(value), value.shape[1]), value.dtype)])
        elif key.name != FACTOR_GRAM.name and any("items" in shape for shape in saved.shapes):
            continue
        tables.get(key, ConstantFunction(value))
    return tables


def _widen_index(index: Index | None, model: Scorer | None, size: int) -> Index | None:
    if index is None or model is None or model.factors is None:
        return index
    return append_to_lists(index, np.asarray(model.factors.item_factors[size:]))


def _widen_topics(topics: TopicItems | None, new: Items) -> TopicItems | None:
    """Return topics with the new items that they cover, by the policy that they were made of.

    Raises:
        RecsysError: for an item of a sensitive topic, or a topic of a classifier, which says nothing of new items.
    """
    if topics is None:
        return None
    told = json.loads(topics.policy)
    policy = TopicPolicy(
        tuple(_restore_topic(one) for one in told["topics"]), told["separator"], True, f"{_PLACE}: topics"
    )
    own = policy.find_topic_items(new)
    if (hidden := own.find_sensitive_items()).any():
        raise RecsysError(
            f"{_PLACE}: items: {int(hidden.sum()):,} are of a sensitive topic, such as '{new.ids[hidden][0]}', "
            "expected none"
        )
    return replace(topics, covers=Csr(sparse.hstack([topics.covers, own.covers], format="csr")))


def _restore_topic(told: Mapping[str, Any]) -> Topic:
    names: Collection[str] = ("name", "sensitive", "column", "threshold", "unscored")
    features = tuple(tuple(one) for one in told["features"])
    return Topic(**{name: told[name] for name in names}, items=tuple(told["items"]), features=features)
