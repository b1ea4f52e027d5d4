"""Checks of a card's keys and of the types of its values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from recsys.support.toml_files import describe_first_problem
from recsys.types import RecsysError

T = TypeVar("T")


def validate_record(kind: type[T], content: Mapping[str, Any], place: str, *above: str) -> T:
    """Return the record `kind` made of `content`, which stands in the sections `above` of the card `place`.

    Raises:
        RecsysError: one line with the first key that is unknown (and the nearest one), missing, or of a wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise RecsysError(f"{place}: {describe_first_problem(error, kind, *above)}") from error
