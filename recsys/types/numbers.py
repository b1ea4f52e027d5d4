"""Whole numbers and shares that a user gives, checked."""

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


def share(place: str, text: str | float) -> float:
    """Return the share above 0 and below 1 that "2%" or 0.02 says.

    >>> share("spend", "2 %"), share("spend", 0.05)
    (0.02, 0.05)

    Raises:
        RecsysError: if it says none.
    """
    try:
        number = float(str(text).strip().removesuffix("%")) / (100.0 if str(text).strip().endswith("%") else 1.0)
    except ValueError:
        number = 0.0
    if not 0.0 < number < 1.0:
        raise RecsysError(f"{place} is '{text}', expected a share such as 0.02 or 2%")
    return number
