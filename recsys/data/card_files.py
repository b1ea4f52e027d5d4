"""Dataset cards on disk: found by name or by path, parsed and checked."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from recsys.data.card_values import check_card_values
from recsys.data.cards import Archive, Card, LocalFiles, Package, Source
from recsys.data.schemas import validate_record
from recsys.support import resources
from recsys.support.toml_files import read_toml
from recsys.types import RecsysError, make_unknown_name_error

_SOURCE_KINDS: Mapping[str, type[Source]] = {"archive": Archive, "package": Package, "local": LocalFiles}


def list_datasets() -> tuple[str, ...]:
    """Return the names of all cards."""
    return tuple(sorted(path.stem for path in resources.find_shipped_folder("datasets").glob("*.toml")))


def read_card(card: str | PathLike[str] | Card) -> Card:
    """Return a card: by its name, from a TOML file of one's own, or itself.

    Raises:
        RecsysError: if there is none (with the nearest name), if the card is not valid, or if one of one's own is
            called as one of the package.
    """
    if isinstance(card, Card):
        return card
    name, shipped = str(card), resources.find_shipped_folder("datasets")
    is_own = name.endswith(".toml")
    if not is_own and name not in list_datasets():
        raise make_unknown_name_error("dataset", name, list_datasets())
    path = Path(name).expanduser() if is_own else shipped / f"{name}.toml"
    if is_own and path.stem in list_datasets() and path.resolve().parent != shipped.resolve():
        raise RecsysError(f"{path.name}: the package has a card {path.stem}, expected another name")
    return parse_card(read_toml(path, path.name), place=path.name)


def parse_card(content: Mapping[str, Any], place: str) -> Card:
    """Return the card with this `content`; `place` names it in errors."""
    listed = content.get("sources", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed) or not listed:
        raise RecsysError(f"{place}: expected at least one [[sources]]")
    sources = tuple(_parse_source(one, place, f"{n}") for n, one in enumerate(listed, start=1))
    result = validate_record(Card, {**content, "sources": sources}, place)
    for one in sources:
        if one.layout not in result.layouts:
            raise make_unknown_name_error("layout", one.layout, result.layouts, place)
    if f"{result.name}.toml" != place:
        raise RecsysError(f"{place}: name is {result.name!r:.60}, expected the name of the file")
    check_card_values(result, place)
    return result


def _parse_source(content: dict[str, Any], place: str, number: str) -> Source:
    kind = str(content.get("kind", ""))
    if kind not in _SOURCE_KINDS:
        raise make_unknown_name_error("kind", kind, _SOURCE_KINDS, f"{place}: [sources.{number}]")
    return validate_record(_SOURCE_KINDS[kind], content, place, "sources", number)
