"""Train, validation and test of one dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from recsys.types.arrays import Bools, Csr, Strings, make_empty_matrix, unite_matrices
from recsys.types.checks import check_matrix_types, convert_to_texts
from recsys.types.datasets import Items
from recsys.types.errors import RecsysError
from recsys.types.guest_runs import GuestRuns
from recsys.types.models import SideInformation
from recsys.types.one_offs import OneOffs
from recsys.types.purchases import Purchases
from recsys.types.time_weights import SHORT_SHARE, TimeDecay, TimeWeights, make_evidence_weights
from recsys.types.topics import TopicItems


@dataclass(frozen=True, eq=False)
class Split:
    """Positives of U users and I items as 0/1 CSR matrices; `*_negatives` keeps the weights of the rest.

    The others (low ratings, known dislikes) are never targets, and those met before the cut are excluded
    from pools.
    """

    kind: str  # a name in `recsys.splits`, or "package.module:function"; "whole" holds nothing out
    seed: int  # of ties, and of random splits
    user_ids: Strings  # (U,)
    items: Items  # (I,) rows follow the columns of the matrices
    train: Csr  # (U, I) float32
    validation: Csr  # (U, I) float32
    test: Csr  # (U, I) float32
    train_negatives: Csr  # (U, I) float32 weights
    validation_negatives: Csr  # (U, I) float32 weights
    # (U, I) float32 positives of validation that are no targets: new items
    validation_cold_positives: Csr | None = None
    train_times: Csr | None = None  # (U, I) float64 seconds since 1970 of the positives, where the data has time
    validation_times: Csr | None = None  # the same of validation
    has_global_cut: bool = False  # the cuts are points in time, the same for all users
    # these points in seconds since 1970, ascending: where validation begins, if there is one, where test does, and the
    # end of the data
    cuts: tuple[int, ...] = ()
    purchases: Purchases | None = None  # those before test with their repeats (`hold_out_repeats`); None: pairs only
    topics: TopicItems | None = None  # of a policy; no item of a sensitive one is left
    fingerprint: str = ""  # names the data, the filter and the split that made it
    counts: Mapping[str, int] = field(default_factory=dict)  # of pairs and rows, by what was done with them
    notes: tuple[str, ...] = ()  # leakage, dropped rows: one line each
    time_decay: TimeDecay | None = None  # how fast training positives age; None: all count alike
    one_offs: OneOffs | None = None  # training positives that count less, as they fit nothing else of their history
    guest_runs: GuestRuns | None = None  # runs of them that count less, as somebody else may have used the account
    # which rows counted (`recsys.splits.settings.FilterSettings`), so that repeats are selected alike; None: unknown
    filter_settings: Any = None

    def __post_init__(self) -> None:
        """Take ids that are Python's texts; refuse other types of arrays than compiled code takes.

        Raises:
            RecsysError: naming the array.
        """
        object.__setattr__(self, "user_ids", convert_to_texts("split: user_ids", self.user_ids))
        for each in fields(self):
            if each.type in (Csr, Csr | None) and getattr(self, each.name) is not None:
                check_matrix_types(f"split: {each.name}", getattr(self, each.name))

    @property
    def shape(self) -> tuple[int, int]:
        """How many users and items there are."""
        return len(self.user_ids), len(self.items.ids)

    @property
    def item_ids(self) -> Strings:
        """The I item ids, in the order of the columns."""
        return self.items.ids

    @property
    def side_information(self) -> SideInformation:
        """The side information that a model may use beside `train`."""
        weights = None if self.time_weights is None else self.time_weights.weights
        return SideInformation(self.train_negatives, self.train_times, weights, self.train_purchases)

    @cached_property
    def train_purchases(self) -> Purchases | None:
        """The purchases of training with their repeats, None where they are not known (`hold_out_repeats`)."""
        return None if self.purchases is None else self.purchases.take_before(self.cuts[0])

    @cached_property
    def time_weights(self) -> TimeWeights | None:
        """How much each training positive counts by its age and where it is held back; None: all alike."""
        held_back = [one.weights for one in (self.one_offs, self.guest_runs) if one is not None]
        product = np.prod(held_back, axis=0) if held_back else None
        return make_evidence_weights(self.train, self.train_times, self.time_decay, product)

    @property
    def weighted_train(self) -> Csr:
        """The training positives, (U, I) float32, each with its weight: `train` itself without `time_weights`."""
        return self.train if self.time_weights is None else self.time_weights.weights

    def with_half_life(
        self, half_life: float | None, *, short_half_life: float | None = None, short_share: float = SHORT_SHARE,
        now: Any = None,
    ) -> "Split":  # fmt: skip
        """Return the split whose training positives of age a weigh 2^(-a / half_life), a in days; None: all alike.

        With a `short_half_life` too, profiles have two speeds: a part `short_share` of each weight has that half-life.

        Ages are counted from `now`, in seconds since 1970, a `datetime` or ISO 8601 text; without it from the latest
        training positive, in each view of the split its own. Models read the weights in `side_information`, objectives,
        likelihoods and own maps in the context of a pool. Metrics, audit maps, and what is held out do not change.

        Raises:
            RecsysError: if the data has no times, the half-life is no number above 0, the short one is not below it or
                is without another, its share is not between 0 and 1, or a training positive is later than `now`.
        """
        if half_life is None:
            if short_half_life is not None:
                raise RecsysError(f"short_half_life is {short_half_life!r} without a half_life, expected both")
            return replace(self, time_decay=None)
        made = replace(self, time_decay=TimeDecay(half_life, now, short_half_life, short_share))
        _ = made.time_weights
        return made

    @property
    def seen(self) -> Csr:
        """Everything each user has met before the cut, whatever the rating: (U, I), non-zero where met."""
        return unite_matrices(self.train, self.train_negatives)

    @property
    def available_items(self) -> Bools:
        """Which items existed before the cut, (I,): all of them unless the split is at one point in time."""
        if not self.has_global_cut:
            return np.ones(self.shape[1], dtype=bool)
        there = np.zeros(self.shape[1], dtype=bool)
        there[self.train.indices] = True
        there[self.train_negatives.indices] = True
        return there

    def _repr_html_(self) -> str:
        from recsys.types import notebooks

        (users, items), parts = self.shape, {part: getattr(self, part) for part in ("train", "validation", "test")}
        counts = [notebooks.format_count(users, "user"), notebooks.format_count(items, "item")]
        counts += [f"{part} {notebooks.format_count(matrix.nnz, 'positive')}" for part, matrix in parts.items()]
        rows = []
        for user in range(min(users, notebooks.MAX_ROWS)):
            row = {part: matrix.indices[slice(*matrix.indptr[user : user + 2])] for part, matrix in parts.items()}
            held_out = notebooks.get_item_labels(self.items.ids, self.items.titles, row["test"][: notebooks.MAX_PICKS])
            rows.append([self.user_ids[user], *(f"{len(codes):,}" for codes in row.values()), "; ".join(held_out)])
        head = ["user", *parts, "in test"]
        return notebooks.render_record(f"Split {self.kind}, seed {self.seed}", counts, head, rows, *self.notes)

    def validation_view(self) -> "Split":
        """Return the split on which choices are made: fit on train, judge on validation."""
        return replace(
            self,
            test=self.validation,
            validation=make_empty_matrix(self.shape),
            validation_negatives=make_empty_matrix(self.shape),
            validation_cold_positives=None,
            validation_times=None,
            cuts=self.cuts[:2],
            purchases=self.train_purchases,
        )

    def test_view(self) -> "Split":
        """Return the split of the last word: fit on train + validation, judge on test.

        It has no `one_offs` and no `guest_runs`: those of train and validation together are detected anew.
        """
        return replace(
            self,
            train=_unite_positives(self.train, self.validation, self.validation_cold_positives),
            one_offs=None,
            guest_runs=None,
            train_negatives=sparse.csr_array(self.train_negatives + self.validation_negatives),
            train_times=None if self.train_times is None else _add_matrices(self.train_times, self.validation_times),
            validation=make_empty_matrix(self.shape),
            validation_negatives=make_empty_matrix(self.shape),
            validation_cold_positives=None,
            validation_times=None,
            cuts=self.cuts[-2:],
        )


def _unite_positives(train: Csr, validation: Csr, cold: Csr | None) -> Csr:
    """Return 1 where a pair is in one of the matrices; what was bought again is in train and in validation."""
    made = _add_matrices(train + validation, cold)
    made.data = np.minimum(made.data, np.float32(1.0))
    return made


def _add_matrices(earlier: Csr, later: Csr | None) -> Csr:
    return sparse.csr_array(earlier if later is None else earlier + later)
