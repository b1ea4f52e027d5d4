"""How numbers, names and lists are written in the paper and on the page of the claim."""

import math
from collections.abc import Sequence

SPACE, MINUS, NONE = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}", "\N{EN DASH}"

METHODS = {
    "unexplored": "unexplored",
    "likely_unexplored": "unexplored, as a probability",
    "negative_space": "negative space",
    "unexplored_and_others": "unexplored and others",
    "mmr": "MMR",
    "dpp": "DPP",
    "xquad": "xQuAD",
    "calibration": "calibration",
    "novelty": "novelty",
    "serendipity": "serendipity",
    "profile_distance": "profile distance",
    "popularity_discount": "popularity discount",
    "popularity_bonus": "popularity bonus",
    "noise": "noise",
    "another_base": "another base",
}
DATA = {
    "ml-1m-likes": "MovieLens 1M",
    "ml-100k": "MovieLens 100K",
    "ml-latest-small": "MovieLens latest-small",
    "online-retail-ii": "Online Retail II",
}
MODELS = {
    "als": "ALS", "ease": "EASE", "ials": "iALS", "user_knn": "UserKNN", "item_knn": "ItemKNN", "pure_svd": "PureSVD",
    "rp3beta": "RP3beta", "p3alpha": "P3alpha", "bpr": "BPR", "lmf": "logistic MF",
}  # fmt: skip


def is_finite(value: float) -> bool:
    return value is not None and math.isfinite(value)


def format_percent(share: float, signed: bool = True) -> str:
    """Return a share in per cent: one decimal below ten.

    >>> format_percent(0.938), format_percent(0.034), format_percent(0.02, signed=False)
    ('+94\\xa0%', '+3.4\\xa0%', '2\\xa0%')
    """
    if not is_finite(share):
        return NONE
    text = f"{abs(100 * share):.1f}" if abs(100 * share) < 9.95 else f"{abs(100 * share):.0f}"
    if not signed:
        text = text.removesuffix(".0")
    nothing = float(text) == 0
    sign = "" if nothing or not signed else (MINUS if share < 0 else "+")
    return f"{sign}{text}{SPACE}%"


def format_points(share: float) -> str:
    """Return a difference of shares, in percentage points and without "%"."""
    return format_percent(share).removesuffix(f"{SPACE}%")


def format_count(number: float) -> str:
    """Return a count, or a mean of counts: one decimal below ten where it has any.

    >>> format_count(5950), format_count(104.3), format_count(0.125), format_count(7)
    ('5,950', '104', '0.1', '7')
    """
    return f"{number:,.1f}" if number < 9.95 and number != round(number) else f"{number:,.0f}"


def format_value(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".removeprefix("0")


def join_names(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> join_names(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def quote_names(names: Sequence[str]) -> str:
    return join_names([f"“{name}”" for name in names])


def format_method(name: str) -> str:
    return METHODS.get(name, name.replace("_", " "))


def format_run(name: str) -> str:
    """Return a run's name with that of its data written out.

    >>> format_run("ml-100k, origin at 60 %")
    'MovieLens 100K, origin at 60\\xa0%'
    """
    data, _, rest = name.partition(", ")
    rest = rest.replace(" %", f"{SPACE}%")
    return DATA.get(data, data) + (f", {rest}" if rest else "")


def format_base(kinds: str) -> str:
    parts = [MODELS.get(kind, kind) for kind in kinds.split("+")]
    return parts[0] if len(parts) == 1 else f"the mean of {join_names(parts)}"
