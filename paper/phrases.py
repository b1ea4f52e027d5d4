"""How numbers, names and lists are written in the paper and on the page of the claim."""

import math
from collections.abc import Sequence

SPACE, MINUS, NONE = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}", "\N{EN DASH}"

METHODS = {
    "untouched": "untouched",
    "likely_untouched": "untouched, as a probability",
    "negative_space": "negative space",
    "untouched_and_others": "untouched and others",
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


def known(value: float) -> bool:
    return value is not None and math.isfinite(value)


def percent(share: float, signed: bool = True) -> str:
    """Return a share in per cent: one decimal below ten.

    >>> percent(0.938), percent(0.034), percent(0.02, signed=False)
    ('+94\\xa0%', '+3.4\\xa0%', '2\\xa0%')
    """
    if not known(share):
        return NONE
    text = f"{abs(100 * share):.1f}" if abs(100 * share) < 9.95 else f"{abs(100 * share):.0f}"
    if not signed:
        text = text.removesuffix(".0")
    nothing = float(text) == 0
    sign = "" if nothing or not signed else (MINUS if share < 0 else "+")
    return f"{sign}{text}{SPACE}%"


def points(share: float) -> str:
    """Return a difference of shares, in percentage points and without "%"."""
    return percent(share).removesuffix(f"{SPACE}%")


def count(number: float) -> str:
    """Return a count, or a mean of counts: one decimal below ten where it has any.

    >>> count(5950), count(104.3), count(0.125), count(7)
    ('5,950', '104', '0.1', '7')
    """
    return f"{number:,.1f}" if number < 9.95 and number != round(number) else f"{number:,.0f}"


def value(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".removeprefix("0")


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def quoted(names: Sequence[str]) -> str:
    return listed([f"“{name}”" for name in names])


def method(name: str) -> str:
    return METHODS.get(name, name.replace("_", " "))


def run(name: str) -> str:
    """Return a run's name with that of its data written out.

    >>> run("ml-100k, origin at 60 %")
    'MovieLens 100K, origin at 60\\xa0%'
    """
    data, _, rest = name.partition(", ")
    rest = rest.replace(" %", f"{SPACE}%")
    return DATA.get(data, data) + (f", {rest}" if rest else "")


def base(kinds: str) -> str:
    parts = [MODELS.get(kind, kind) for kind in kinds.split("+")]
    return parts[0] if len(parts) == 1 else f"the mean of {listed(parts)}"
