"""A ranker made anew without forgotten rows: the model by an update, all that is derived by what `Ranker.fit` does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from recsys.control.forgetting import FinishedForgets
from recsys.likelihoods.records import Likelihood
from recsys.models.forgetting import forget_earlier_rows, forget_rows
from recsys.rankers import fitting
from recsys.rankers.added_items import predict_again
from recsys.rankers.fitting import GIVEN, MADE, OF_NO_ROWS, FittedParts
from recsys.rankers.forgets import FORGOTTEN, list_saved_pending, list_shared_parts
from recsys.rankers.indexes import Index
from recsys.rankers.part_stores import Made, PartStore
from recsys.rankers.rankers import Ranker
from recsys.rankers.records import list_table_records, restore_tables
from recsys.rankers.saved_tables import list_saved_tables
from recsys.types import Context, Items, Model, RecsysError, SideInformation, Split, TableCache, TasteMap
from recsys.types.arrays import Csr, Longs, make_empty_matrix
from recsys.types.errors import Setting, SettingError
from recsys.types.forgetting import ForgetCertificate

MapsFunction = Callable[[Csr], Sequence[TasteMap]]
PARTS = ("maps", "scales", "likelihood")  # those of which somebody has to know how they are made


class Recipe(NamedTuple):
    """How the parts of a ranker are made anew."""

    settings: Model | None = None  # of the model's fit, where it has no update
    make_maps: MapsFunction | None = None  # of the positives that are left; None keeps the maps
    has_own_maps: bool = False  # whether `make_maps` is the caller's, who may change it until another run
    fits_scales: bool = True  # False keeps them
    make_likelihood: Callable[[Split], Likelihood] | None = None  # None keeps it


def remake_ranker(ranker: Ranker, recipe: Recipe, parts: PartStore, finish: Callable[[str], None]) -> Ranker:
    """Return the ranker that fitting would have made of the rows that are left; users and items keep their places.

    `finish` is called with the name of each part that is there.

    Raises:
        RecsysError: if the model has no update and its settings are not given, or are those of another model, or
            nothing is left to fit to.
    """
    split = build_remaining_split(ranker)
    certificate = None
    model = ranker.model
    if model is not None:
        (model,), told = parts.make("model", lambda: _forget_in_model(ranker, recipe.settings))
        certificate = ForgetCertificate.from_dict(told)
    model, of_added = predict_again(model, split.items, split.train, ranker.about)
    finish("model")
    maps, is_kept = _make_maps(ranker, recipe, parts), not recipe.has_own_maps
    finish("maps")
    likelihood = ranker.likelihood
    if recipe.make_likelihood is not None:
        make = recipe.make_likelihood
        (likelihood,), _ = parts.make("likelihood", lambda: ((make(split),), {}))
    finish("likelihood")
    fitted = _make_tables(ranker, model, split, maps, likelihood, recipe, parts, is_kept)
    finish("tables")
    return _join_parts(ranker, model, split, fitted, recipe, certificate, of_added)


def build_remaining_split(ranker: Ranker) -> Split:
    """Return the rows that a ranker has, as a split that holds nothing out."""
    around = ranker.context
    train, weights = around.need_train("a ranker"), around.time_weights
    none = make_empty_matrix(train.shape)
    return Split(
        kind="whole",
        seed=around.seed,
        user_ids=around.user_ids,
        items=cast(Items, around.items),
        train=train,
        validation=none,
        test=none,
        train_negatives=none if around.dislikes is None else around.dislikes,
        validation_negatives=none,
        train_times=around.times,
        has_global_cut=not _get_base(ranker).available.all(),
        topics=ranker.topics,
        time_decay=None if weights is None else weights.decay,
        one_offs=around.one_offs,
        guest_runs=around.guest_runs,
    )


def _get_base(ranker: Ranker) -> Ranker:
    base: Ranker = ranker if ranker.forget_state is None else ranker.forget_state.base
    return base


def _forget_in_model(ranker: Ranker, settings: Model | None) -> Made:
    """Return the model without the rows, and its certificate."""
    base = _get_base(ranker)
    assert base.model is not None
    if list_saved_pending(ranker.about):  # the rows are no longer in the folder
        train, side = ranker.context.need_train("a ranker"), _select_side(ranker.context)
        made, certificate = forget_earlier_rows(base.model, train, settings=settings, side=side)
    else:
        train, side = base.context.need_train("a ranker"), _select_side(base.context)
        lost = find_lost_cells(base.context, ranker.context)
        made, certificate = forget_rows(base.model, train, *lost, settings=settings, side=side)
    if certificate.pending:
        raise SettingError(
            f"ranker: its model {certificate.model} has no update and is fitted anew, expected the settings that it "
            "was fitted with: ",
            Setting("settings"),
            Setting("config"),
        )
    if type(made) is not type(base.model) or not _have_same_factors(made, base.model):
        raise RecsysError(
            f"ranker: the settings are those of another model: they make a {type(made).__name__}, and the ranker has "
            f"a {certificate.model}, expected the settings that it was fitted with"
        )
    return (made,), certificate.to_dict()


def _have_same_factors(one: Any, other: Any) -> bool:
    return one.factors is None or one.factors.item_factors.shape == other.factors.item_factors.shape


def _select_side(context: Context) -> SideInformation:
    weights = None if context.time_weights is None else context.time_weights.weights
    return SideInformation(dislikes=context.dislikes, times=context.times, weights=weights)


def find_lost_cells(before: Context, left: Context) -> tuple[Longs, Longs]:
    """Return the users and items, codes, of the likes and dislikes that a context has and another no longer has."""
    lost = [
        np.setdiff1d(_number_cells(getattr(before, name)), _number_cells(getattr(left, name)), assume_unique=True)
        for name in ("train", "dislikes")
        if getattr(before, name) is not None
    ]
    users, items = np.divmod(np.unique(np.concatenate(lost)), len(before.item_ids))
    return users, items


def _number_cells(matrix: Csr) -> Longs:
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def _make_maps(ranker: Ranker, recipe: Recipe, parts: PartStore) -> tuple[TasteMap, ...]:
    make = recipe.make_maps
    if make is None:
        return ranker.context.maps
    train = ranker.context.need_weighted_train("a ranker")
    maps, _ = parts.make("maps", lambda: (tuple(make(train)), {}), not recipe.has_own_maps)
    return maps


def _make_tables(
    ranker: Ranker, model: Any, split: Split, maps: Sequence[TasteMap], likelihood: Likelihood | None, recipe: Recipe,
    parts: PartStore, is_kept: bool,
) -> FittedParts:  # fmt: skip
    """Return the index, the scales and the derived tables: those that were finished, or made anew."""
    shown, guards = ranker.context.exposures, ranker.guards
    recall = 1.0 if ranker.index is None else ranker.index.target_recall
    fresh: list[FittedParts] = []

    def make() -> Made:
        fresh.append(
            fitting.fit_ranker_parts(
                model,
                split,
                ranker.blend,
                ranker.policy,
                maps=maps,
                guards=guards,
                shown=shown,
                index_recall=recall,
                likelihood=likelihood,
                scale="fitted" if recipe.fits_scales else dict(ranker.scales),
                pool=None,
                repeats=ranker.context.repeats,
            )
        )
        made = fresh[0]
        members = (
            *list_table_records(list_saved_tables(made.context)),
            *(() if made.retrieval_index is None else (made.retrieval_index,)),
        )
        return members, {"scales": made.scales, "about": made.about}

    members, told = parts.make("tables", make, is_kept)
    if fresh:
        return fresh[0]
    indexes, tables = [one for one in members if isinstance(one, Index)], TableCache()
    restore_tables(tables, [one for one in members if not isinstance(one, Index)])
    held = shown, ranker.context.repeats
    around = fitting.build_ranker_context(split, model, maps, ranker.policy.seed, guards, ranker.policy.k, *held)
    around = replace(around, tables=tables)
    fitting.prime_tables(around, model)
    kept = None if "likelihood" in told["about"] else likelihood
    return FittedParts(around, told["scales"], indexes[0] if indexes else None, kept, told["about"])


def _join_parts(
    ranker: Ranker, model: Any, split: Split, fitted: FittedParts, recipe: Recipe,
    certificate: ForgetCertificate | None, of_added: Mapping[str, Any],
) -> Ranker:  # fmt: skip
    there = {part: part in list_shared_parts(ranker) for part in (*PARTS, "index")}
    made_anew = {
        "maps": recipe.make_maps is not None,
        "scales": recipe.fits_scales,
        "likelihood": recipe.make_likelihood is not None,
        "index": True,
    }
    earlier, state = ranker.finished_forgets, ranker.forget_state
    pending = [] if state is None else [one.line for one in state.pending]
    finished = FinishedForgets(
        lines=tuple(sorted({*pending, *(() if earlier is None else earlier.lines)})),
        model=certificate,
        remade=(*(part for part, is_there in there.items() if is_there and made_anew[part]), "tables"),
        kept=tuple(part for part, is_there in there.items() if is_there and not made_anew[part]),
    )
    made_of = {
        "maps": OF_NO_ROWS if recipe.make_maps is None else GIVEN if recipe.has_own_maps else MADE,
        "scales": MADE if recipe.fits_scales else OF_NO_ROWS,
    }
    about = {name: value for name, value in ranker.about.items() if name not in ("forget_list", FORGOTTEN)}
    about |= {**fitted.about, **of_added, "made_of": made_of, "finished_forgets": finished.to_dict()}
    made = Ranker(
        model=model,
        context=fitted.context,
        blend=ranker.blend,
        scales=fitted.scales,
        policy=ranker.policy,
        available=split.available_items & ranker.available,
        guards=ranker.guards,
        index=fitted.retrieval_index,
        about=about,
        likelihood=fitted.likelihood,
        control=ranker.control,
        user_dials=ranker.user_dials,
        topics=ranker.topics,
    )
    return made if state is None else made.follow_forget_list(state.forget_list.path)
