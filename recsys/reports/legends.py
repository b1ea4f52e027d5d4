"""The legend of a page: one button per series, for all charts and the table."""

from recsys.html import Html, make_element
from recsys.reports import themes
from recsys.reports.view import ReportView, Series


def render_legend(view: ReportView) -> Html:
    """Return the buttons of the legend: series of pressed buttons are shown in full, the rest faintly."""
    buttons = [_render_series_button(series) for series in view.series]
    everything = make_element("button", "show all", type="button", class_="everything", disabled=True)
    return make_element("div", *buttons, everything, class_="legend", role="group", aria_label="Series to bring out")


def render_swatch(series: Series) -> Html:
    """Return the mark of a series as a small picture, in the colours of the page."""
    path = make_element("path", d=series.shape, style=f"fill:{series.get_colour(themes.build_css_theme())}")
    return make_element("svg", path, viewBox="-1.4 -1.4 2.8 2.8", class_="swatch", aria_hidden="true")


def _render_series_button(series: Series) -> Html:
    name = make_element("span", series.name, title=series.name)
    return make_element(
        "button", render_swatch(series), name, type="button", data_series=series.name, aria_pressed="false"
    )
