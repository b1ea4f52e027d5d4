"""Train, validation and test of one dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from recsys.types.arrays import Bools, Csr, Strings, either, empty
from recsys.types.datasets import Items
from recsys.types.models import Side


@dataclass(frozen=True, eq=False)
class Split:
    """Positives of U users and I items as 0/1 CSR matrices; `*_other` keeps the weights of the rest.

    The others (low ratings, known dislikes) are never targets, and those met before the cut are excluded
    from pools.
    """

    kind: str  # "global_time", "per_user_time", "leave_last", "random"; "whole" holds nothing out
    seed: int
    user_ids: Strings  # (U,)
    items: Items  # (I,) rows follow the columns of the matrices
    train: Csr  # (U, I) float32
    validation: Csr  # (U, I) float32
    test: Csr  # (U, I) float32
    train_other: Csr  # (U, I) float32 weights
    validation_other: Csr  # (U, I) float32 weights
    validation_new: Csr | None = None  # (U, I) float32 positives of validation that are no targets: new items
    train_times: Csr | None = None  # (U, I) float64 seconds since 1970 of the positives, where the data has time
    validation_times: Csr | None = None
    fingerprint: str = ""  # names the data, the filter and the split that made it
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # leakage, dropped rows: one line each

    @property
    def shape(self) -> tuple[int, int]:
        """How many users and items there are."""
        return len(self.user_ids), len(self.items.ids)

    @property
    def item_ids(self) -> Strings:
        """The I item ids, in the order of the columns."""
        return self.items.ids

    @property
    def side(self) -> Side:
        """What a model may know beside `train`."""
        return Side(dislikes=self.train_other, times=self.train_times)

    @property
    def met(self) -> Csr:
        """Everything each user has met before the cut, whatever the rating: (U, I), non-zero where met."""
        return either(self.train, self.train_other)

    @property
    def available(self) -> Bools:
        """Which items existed before the cut, (I,): all of them unless the split is at one point in time."""
        if self.kind != "global_time":
            return np.ones(self.shape[1], dtype=bool)
        there = np.zeros(self.shape[1], dtype=bool)
        there[self.train.indices] = True
        there[self.train_other.indices] = True
        return there

    def _repr_html_(self) -> str:
        from recsys.types import notebooks

        (users, items), parts = self.shape, {part: getattr(self, part) for part in ("train", "validation", "test")}
        counts = [notebooks.count(users, "user"), notebooks.count(items, "item")]
        counts += [f"{part} {notebooks.count(matrix.nnz, 'positive')}" for part, matrix in parts.items()]
        rows = []
        for user in range(min(users, notebooks.ROWS)):
            row = {part: matrix.indices[slice(*matrix.indptr[user : user + 2])] for part, matrix in parts.items()}
            held_out = notebooks.labels(self.items.ids, self.items.titles, row["test"][: notebooks.PICKS])
            rows.append([self.user_ids[user], *(f"{len(codes):,}" for codes in row.values()), "; ".join(held_out)])
        head = ["user", *parts, "in test"]
        return notebooks.form(f"Split {self.kind}, seed {self.seed}", counts, head, rows, *self.notes)

    def for_choosing(self) -> "Split":
        """Return the split on which choices are made: fit on train, judge on validation."""
        return replace(
            self,
            test=self.validation,
            validation=empty(self.shape),
            validation_other=empty(self.shape),
            validation_new=None,
            validation_times=None,
        )

    def for_judging(self) -> "Split":
        """Return the split of the last word: fit on train + validation, judge on test."""
        return replace(
            self,
            train=_joined(self.train + self.validation, self.validation_new),
            train_other=sparse.csr_array(self.train_other + self.validation_other),
            train_times=None if self.train_times is None else _joined(self.train_times, self.validation_times),
            validation=empty(self.shape),
            validation_other=empty(self.shape),
            validation_new=None,
            validation_times=None,
        )


def _joined(earlier: Csr, later: Csr | None) -> Csr:
    return sparse.csr_array(earlier if later is None else earlier + later)
