"""Whole numbers that a user gives, checked."""

from operator import index

import numpy as np

from recsys.types.errors import RecsysError


def whole(place: str, found: object, least: int | None = None, most: int | None = None, why: str = "") -> int:
    """Return `found` as an int; `place` says where it stands, `why` what the largest one is.

    >>> whole("slate: k", 10, 1, 200)
    10

    Raises:
        RecsysError: if it is no whole number, or not from `least` to `most`.
    """
    try:
        number = None if isinstance(found, bool | np.bool_) else index(found)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is not None and (least is None or number >= least) and (most is None or number <= most):
        return number
    within = "" if least is None else f" from {least}" + (" on" if most is None else f" to {most}")
    raise RecsysError(f"{place} is {found!r}, expected a whole number{within}{why and ', ' + why}")
