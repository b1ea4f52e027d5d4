"""The legend of a page: one button per series, for all charts and the table."""

from recsys.html import Html, element
from recsys.reports import themes
from recsys.reports.sheets import Series, Sheet


def legend(sheet: Sheet) -> Html:
    """Return the buttons: what is pressed is shown in full, the rest faintly."""
    buttons = [_button(series) for series in sheet.series]
    everything = element("button", "show all", type="button", class_="everything", disabled=True)
    return element("div", *buttons, everything, class_="legend", role="group", aria_label="Series to bring out")


def swatch(series: Series) -> Html:
    """Return the mark of a series as a small picture, in the colours of the page."""
    path = element("path", d=series.shape, style=f"fill:{series.colour(themes.by_reference())}")
    return element("svg", path, viewBox="-1.4 -1.4 2.8 2.8", class_="swatch", aria_hidden="true")


def _button(series: Series) -> Html:
    name = element("span", series.name, title=series.name)
    return element("button", swatch(series), name, type="button", data_series=series.name, aria_pressed="false")
