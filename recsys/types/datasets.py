"""The validated log of interactions, the catalogue, and the two together with their card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs, Strings
from recsys.types.checks import check_array, check_matrix_types, convert_to_texts


@dataclass(frozen=True, eq=False)
class Interactions:
    """The log: R rows of user, item, time and weight, in the order of the source.

    Ids are names, always strings: 50 and "50" are the same user. Rows hold codes into the id arrays.
    """

    user: Ints  # (R,) codes into user_ids
    item: Ints  # (R,) codes into item_ids
    weight: Floats  # (R,) finite: a rating, a quantity, or 1
    datetime: Longs | None  # (R,) seconds since 1970-01-01 UTC, None where the source has no time
    user_ids: Strings  # (U,)
    item_ids: Strings  # (I,)
    source: Strings | None = None  # (R,) which list, page or policy led to the interaction
    consent: Bools | None = None  # (R,) whether the row may be used for personalisation
    purposes: Bools | None = None  # (R, P) which of `purpose_names` the row may be used for
    purpose_names: tuple[str, ...] = ()  # P names, in order

    def __len__(self) -> int:
        """Return R, the number of rows."""
        return len(self.user)

    def find_usable_rows(self) -> Bools:
        """Return which rows may be used for anything, (R,): those with consent and at least one purpose.

        Where the log has no column of them, all rows have it.
        """
        usable = np.ones(len(self), dtype=bool) if self.consent is None else np.asarray(self.consent, dtype=bool)
        return usable if self.purposes is None else usable & self.purposes.any(axis=1)


@dataclass(frozen=True, eq=False)
class Items:
    """The catalogue: one row per item, in the order of the item codes it goes with."""

    ids: Strings  # (I,)
    titles: Strings  # (I,) "" where unknown
    features: Csr  # (I, F) float32, 0 or 1; an empty row is an item without features
    feature_names: tuple[str, ...]  # F names such as "Film-Noir"
    years: Ints  # (I,) 0 where unknown

    def __post_init__(self) -> None:
        """Take ids and titles that are Python's texts; refuse other types of arrays than compiled code takes.

        Raises:
            RecsysError: naming the array.
        """
        for name in ("ids", "titles"):
            object.__setattr__(self, name, convert_to_texts(f"items: {name}", getattr(self, name)))
        check_matrix_types("items: features", self.features)
        check_array("items: years", self.years, (None,), "i")


@dataclass(frozen=True, eq=False)
class RowDescriptions:
    """What each row of a log says of its item, so that rows that may not be used can be left out of the catalogue."""

    row: Ints  # (R,) codes of D distinct descriptions
    titles: tuple[str | None, ...]  # (D,) as written, None where there is none
    years: tuple[str | None, ...]  # (D,) the same
    features: tuple[tuple[str, ...], ...]  # (D,) names, in order
    no_titles: tuple[str, ...] = ()  # titles that are none
    words: tuple[int, tuple[str, ...]] | None = None  # features are words of titles: of how many items, and which not


@dataclass(frozen=True, eq=False)
class Dataset:
    """A log, its catalogue and its card. `items` rows follow `interactions.item_ids`."""

    name: str  # of the card, or of the table
    interactions: Interactions  # the log
    items: Items  # the catalogue
    fingerprint: str  # sha256 of the validated content: two equal datasets have equal fingerprints
    card: Mapping[str, Any] = field(default_factory=dict)  # source, licence, citation, checks
    notes: tuple[str, ...] = ()  # what was untidy and by which rule it was handled, one line each
    columns: Mapping[str, str] = field(default_factory=dict)  # field (user_id, weight, ...) -> column of the table
    descriptions: RowDescriptions | None = None  # where the log itself describes its items

    def __repr__(self) -> str:
        """Return its name and counts, in angle brackets."""
        return f"<Dataset {self.name}: {', '.join(self._describe_counts())}>"

    def _describe_counts(self) -> list[str]:
        from recsys.types import notebooks

        log = self.interactions
        counts = [notebooks.format_count(len(log.user_ids), "user"), notebooks.format_count(len(log.item_ids), "item")]
        counts.append(notebooks.format_count(len(log), "interaction"))
        if log.datetime is not None and len(log):
            counts.append(f"{notebooks.format_day(log.datetime.min())} to {notebooks.format_day(log.datetime.max())}")
        return [*counts, f"fingerprint {self.fingerprint[:12]}"]

    def _repr_html_(self) -> str:
        from recsys.types import notebooks

        log = self.interactions
        rows = []
        for row in range(min(len(log), notebooks.MAX_ROWS)):
            (title,) = notebooks.get_item_labels(log.item_ids, self.items.titles, log.item[row : row + 1])
            time = "" if log.datetime is None else notebooks.format_day(log.datetime[row])
            rows.append([log.user_ids[log.user[row]], log.item_ids[log.item[row]], title, f"{log.weight[row]:g}", time])
        head = ["user_id", "item_id", "title", "weight", "day"]
        return notebooks.render_record(f"Dataset {self.name}", self._describe_counts(), head, rows, *self.notes)
