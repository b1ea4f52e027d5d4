"""Settings that cannot be meant, refused in one line."""

import math

from recsys.types.errors import RecsysError


def at_least_one(model: str, **settings: int) -> None:
    """Refuse settings that are no whole numbers from 1 on."""
    for name, found in settings.items():
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise RecsysError(f"{model}: {name}: found {found!r}, expected a whole number from 1 on")


def from_zero(model: str, **settings: float) -> None:
    """Refuse settings that are no finite numbers from 0 on."""
    for name, found in settings.items():
        if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < math.inf:
            raise RecsysError(f"{model}: {name}: found {found!r}, expected a number from 0 on")


def above_zero(model: str, **settings: float) -> None:
    """Refuse settings that are no finite numbers above 0."""
    for name, found in settings.items():
        if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found < math.inf:
            raise RecsysError(f"{model}: {name}: found {found!r}, expected a number above 0")
