"""HTML in which every text is escaped unless it was made here."""

from recsys.escaping import escape_html

VOID_TAGS = ("br", "col", "meta")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def make_element(tag: str, *children: str, **attributes: str | int | bool | None) -> Html:
    """Return an element; children that are not `Html` are escaped, attributes always are.

    `class_` is `class`, `data_run` is `data-run`; True is an attribute without a value, None and False are absent.

    >>> make_element("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    written = "".join(_format_attribute(name, value) for name, value in attributes.items())
    inside = join_html(*children)
    return Html(f"<{tag}{written}>" if tag in VOID_TAGS else f"<{tag}{written}>{inside}</{tag}>")


def join_html(*children: str) -> Html:
    """Return children one after the other, escaped where they are not `Html`."""
    return Html("".join(child if isinstance(child, Html) else escape_html(child) for child in children))


def _format_attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    shown = name.rstrip("_").replace("_", "-")
    return f" {shown}" if value is True else f' {shown}="{escape_html(str(value))}"'
