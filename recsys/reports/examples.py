"""A few users as they would see it: what they liked, the base's slate, a blend's, and what each pick displaces."""

from collections.abc import Sequence

from recsys.html import Html, element, join
from recsys.reports.formats import MISSING, number
from recsys.reports.results import Example

HIT = "\N{CHECK MARK}"
RULE = (
    f"{HIT}: a held-out positive of the user; bold: the base does not show it; struck out: the "
    "blend does not. In its place: the candidate that would "
    "stand there if the pick did not, and how much more it would add to the slate by the blend (below 0: less)."
)


def examples(found: Sequence[Example]) -> Html:
    """Return an article per user."""
    return join(element("p", RULE, class_="note"), *map(_article, found))


def _article(one: Example) -> Html:
    liked = "; ".join(one.history) or MISSING
    more = one.n_history - len(one.history)
    history = element("p", element("b", "liked: "), liked, f"; and {more:,} more" if more > 0 else "", class_="note")
    head = ("", "the base", one.blend, "in its place", "it would add")
    names = [element("th", name, scope="col", class_="n" if name == head[-1] else None) for name in head]
    rows = [element("tr", *_cells(one, r)) for r in range(max(len(one.base), len(one.picks)))]
    table = element("table", element("thead", element("tr", *names)), element("tbody", *rows), class_="plain slates")
    return element(
        "article", element("h3", f"user {one.user}"), history, element("div", table, class_="scroll", tabindex="0")
    )


def _cells(one: Example, r: int) -> list[Html]:
    base = one.base[r] if r < len(one.base) else ""
    pick, instead, cost = (one.picks[r], one.instead[r], one.costs[r]) if r < len(one.picks) else ("", "", None)
    new = pick not in one.base
    return [
        element("th", str(r + 1), scope="row"),
        element("td", _titled(one, base) if base in one.picks else element("s", _titled(one, base))),
        element("td", element("b", _titled(one, pick)) if new else _titled(one, pick)),
        element("td", instead or MISSING),
        element("td", number(cost, signed=True), class_="n"),
    ]


def _titled(one: Example, title: str) -> str:
    return f"{title} {HIT}" if title in one.held_out else title
