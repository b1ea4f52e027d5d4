"""The section of examples: for a few users their history, the slates of base and blend, and displaced items."""

from collections.abc import Sequence

from recsys.html import Html, join_html, make_element
from recsys.reports.formats import MISSING, format_number
from recsys.reports.results import Example

HELD_OUT_MARK = "\N{CHECK MARK}"
EXAMPLES_NOTE = (
    f"{HELD_OUT_MARK}: a held-out positive of the user; bold: the base does not show it; struck out: the "
    "blend does not. In its place: the candidate that would "
    "stand there if the pick did not, and how much more it would add to the slate by the blend (below 0: less)."
)


def render_examples(found: Sequence[Example]) -> Html:
    """Return an article per user."""
    return join_html(make_element("p", EXAMPLES_NOTE, class_="note"), *map(_render_user, found))


def _render_user(one: Example) -> Html:
    liked = "; ".join(one.history) or MISSING
    more = one.n_history - len(one.history)
    history = make_element(
        "p", make_element("b", "liked: "), liked, f"; and {more:,} more" if more > 0 else "", class_="note"
    )
    head = ("", "the base", one.blend, "in its place", "it would add")
    names = [make_element("th", name, scope="col", class_="n" if name == head[-1] else None) for name in head]
    rows = [make_element("tr", *_render_cells(one, r)) for r in range(max(len(one.base), len(one.picks)))]
    table = make_element(
        "table", make_element("thead", make_element("tr", *names)), make_element("tbody", *rows), class_="plain slates"
    )
    return make_element(
        "article",
        make_element("h3", f"user {one.user}"),
        history,
        make_element("div", table, class_="scroll", tabindex="0"),
    )


def _render_cells(one: Example, r: int) -> list[Html]:
    base = one.base[r] if r < len(one.base) else ""
    pick, instead, cost = (one.picks[r], one.displaced[r], one.costs[r]) if r < len(one.picks) else ("", "", None)
    new = pick not in one.base
    return [
        make_element("th", str(r + 1), scope="row"),
        make_element(
            "td", _mark_held_out(one, base) if base in one.picks else make_element("s", _mark_held_out(one, base))
        ),
        make_element("td", make_element("b", _mark_held_out(one, pick)) if new else _mark_held_out(one, pick)),
        make_element("td", instead or MISSING),
        make_element("td", format_number(cost, signed=True), class_="n"),
    ]


def _mark_held_out(one: Example, title: str) -> str:
    return f"{title} {HELD_OUT_MARK}" if title in one.held_out else title
