"""The contracts of a dataset card, and of a reader."""

from os import PathLike
from pathlib import Path
from typing import Any

from recsys.data import load_dataset, read_card
from recsys.data.cards import Archive, Card
from recsys.data.readers import Reader, name_reader
from recsys.support.resolver import resolve_extension
from recsys.testing.contract import ContractError, check_documented, expect, expect_no_error
from recsys.types import Dataset


def check_card(card: str | PathLike[str] | Card, *, data_dir: str | Path | None = None) -> None:
    """Test that a dataset card keeps its promises: by its name, by the path of its file, or itself.

    Every key is known, and its value one that can be; it says what it is, its licence and terms, and what to cite as
    BibTeX; archives are at https addresses; every layout has a user and an item in each row of its log, and files
    of different names. With `data_dir` its files are read from there (or fetched), and its counts compared.

    >>> check_card("ml-100k")

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = f"card '{card.name if isinstance(card, Card) else card}'"
    with expect_no_error(who, "to be read"):
        made = read_card(card)
    for name in ("title", "about", "licence", "terms"):
        expect(getattr(made, name).strip(), who, f"has no {name}, expected some words")
    expect(made.citation.lstrip().startswith("@"), who, "has a citation that is no BibTeX, expected such as @misc{...}")
    for source in made.sources:
        if isinstance(source, Archive):
            expect(source.url.startswith("https://"), who, f"fetches from {source.url}, expected an https address")
    for name, layout in made.layouts.items():
        lacking = sorted({"user_id", "item_id"}.difference(layout.interactions.columns))
        expect(not lacking, who, f"has no column for {', '.join(lacking)} in layout {name}")
        names = [file.name for file in layout.files]
        expect(len(set(names)) == len(names), who, f"has two files of one name in layout {name}")
    if data_dir is not None:
        with expect_no_error(who, f"to be loaded from {data_dir}"):
            load_dataset(made, data_dir, quiet=True)


def check_reader(reader: str | Reader, **settings: Any) -> None:
    """Test that a reader of a dataset keeps its promises, with its settings.

    It is documented; returns a `Dataset` whose arrays fit together, or a table that `recsys.read_dataset` takes; has
    rows; and is the same at every call.

    >>> def two_rows():
    ...     '''Return two rows.'''
    ...     return [("ann", "book"), ("bob", "film")]
    >>> check_reader(two_rows)

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = f"reader '{name_reader(reader)}'"
    check_documented(who, resolve_extension("reader", reader, {}))
    made: list[Dataset] = []
    for _ in range(2):
        with expect_no_error(who, "to be read"):
            made.append(load_dataset(reader, quiet=True, **settings))
    expect(len(made[0].interactions), who, "has no rows, expected some")
    if made[0].fingerprint != made[1].fingerprint:
        raise ContractError(f"{who}: reads other data at a second call, expected the same")
