"""Settings of reproductions: TOML files, checked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from recsys import metrics
from recsys.configs import ModelSection, Section
from recsys.metrics import published_variants, sampled
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import describe_first_problem, find_toml, read_toml
from recsys.types import Model, RecsysError, make_unknown_name_error

SAMPLED_METRICS = {name: getattr(sampled, name) for name in ("sampled_hit_rate", "sampled_ndcg")}
FULL_METRICS = {name: getattr(home, name) for home in (metrics, published_variants) for name in home.__all__}

GitObject = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Tolerance = Annotated[float, Field(ge=0)]


class PublishedSize(Section):
    """How much there is in the files of a published split."""

    users: int = Field(ge=1)
    items: int = Field(ge=1)
    pairs: int = Field(ge=1)  # of both files together


class DataSource(Section):
    """Where the data is: the card of a dataset, or files of a published split."""

    format: Literal["card", "lists", "ratings"]  # lists: train.txt and test.txt; ratings: NAME.train.rating and others
    name: str
    get: str = ""  # where the files come from, for whoever has not got them
    size: PublishedSize | None = None
    objects: dict[str, GitObject] = Field(
        default_factory=dict
    )  # file -> its git object id in the repository that it is published in

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files; none for a card."""
        parts = ("train.rating", "test.rating", "test.negative")
        named = tuple(f"{self.name}.{part}" for part in parts)
        return {"card": (), "lists": ("train.txt", "test.txt"), "ratings": named}[self.format]


class NegativeSampling(Section):
    """How many items each held-out positive is ranked among, where it is not the catalogue."""

    n: int = Field(99, ge=1)
    draws: int = Field(1, ge=1)
    file: bool = False  # as they came with the split: one draw, and n is what the file holds


class Protocol(Section):
    """How the data is split and judged."""

    kind: Literal["as_published", "last_item", "random_pairs", "held_out_users"]
    positive: str | None = None  # such as "rating >= 4"; every row where absent
    min_item_interactions: int = Field(0, ge=0)  # once, before users are counted
    min_user_interactions: int = Field(0, ge=0)  # once, after items were taken out
    ties: Literal["first_appearance", "item_id", "random"] = "random"  # which of a user's last items is the last one
    test: float = Field(0.2, gt=0, lt=1)  # share of the pairs, or of the history of a held-out user
    held_out: int = Field(0, ge=0)  # users for validation, and as many for test
    catalogue: int | None = None  # number of items, with those that nobody has; those of the data where absent
    negatives: NegativeSampling | None = None


class PublishedRow(Section):
    """A model of the published table, our settings for it, and the published values."""

    model: ModelSection
    values: Literal["ones", "ratings"] = "ones"  # what it is fitted to
    note: str = ""  # what our settings mean beside the published ones
    reason: str = ""  # why ours differ by more than the tolerance, measured
    tolerance: dict[str, Tolerance] = Field(default_factory=dict)  # where it is another than that of the table
    published: dict[str, float]

    def build_model(self, where: str) -> Model:
        """Return the model."""
        return self.model.build_model(where)


class ReproductionConfig(Section):
    """A whole reproduction."""

    title: str
    source: str  # publication and table
    seed: int = 0
    data: DataSource
    protocol: Protocol
    tolerance: dict[str, Tolerance]  # how far from the published value each metric may be
    models: dict[str, PublishedRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_consistency(self) -> "ReproductionConfig":
        if (self.data.format == "card") == (self.protocol.kind == "as_published"):
            raise ValueError(f"data of format '{self.data.format}' does not go with '{self.protocol.kind}'")
        given = self.protocol.negatives is not None and self.protocol.negatives.file
        if (self.data.format == "ratings") != given:
            raise ValueError("negatives with file = true go with data of format 'ratings', and with no other")
        for file in self.data.objects:
            if file not in self.data.files:
                raise make_unknown_name_error("file", file, self.data.files, where="[data] objects")
        known = SAMPLED_METRICS if self.protocol.negatives else FULL_METRICS
        for name, row in self.models.items():
            for metric in row.published:
                bare, _, k = metric.partition("@")
                if bare not in known or not k.isdecimal() or int(k) < 1:
                    raise make_unknown_name_error(
                        "metric", metric, [f"{one}@10" for one in known], where=f"[models.{name}]"
                    )
                if metric not in self.tolerance:
                    raise RecsysError(f"[models.{name}]: {metric} has no tolerance, expected one in [tolerance]")
            for metric in row.tolerance:
                if metric not in row.published:
                    raise make_unknown_name_error("metric", metric, row.published, where=f"[models.{name}] tolerance")
        return self

    @property
    def metrics(self) -> list[str]:
        """Every metric with a published value, such as "ndcg@10", in the order of the tolerances."""
        named = {metric for row in self.models.values() for metric in row.published}
        return [metric for metric in self.tolerance if metric in named]


def list_reproductions() -> dict[str, Path]:
    """Return the shipped reproductions by name."""
    return {path.stem: path for path in sorted((find_shipped_folder("configs") / "reproductions").glob("*.toml"))}


def read_reproduction(name: str | Path) -> ReproductionConfig:
    """Return the reproduction that is called `name`, or that is in the file `name`.

    Raises:
        RecsysError: if there is none, or its file says something that cannot be.
    """
    shipped = find_shipped_folder("configs") / "reproductions"
    path = find_toml(name, shipped)
    content = read_toml(path, f"reproduction {path}", shipped)
    try:
        return ReproductionConfig.model_validate(content)
    except ValidationError as error:
        raise RecsysError(f"{path}: {describe_first_problem(error, ReproductionConfig)}") from None
