"""Caveats of the kinds of numbers, printed beside them everywhere."""

from recsys.reports.formats import format_mean_count, format_number, format_percent
from recsys.reports.view import ReportView
from recsys.types.notebooks import format_count

EXPOSURE_CAVEAT = "Logged positives outside the bubble exist only where exposure allowed."
DAGGER = "\N{DAGGER}"


def is_discovery(metric: str) -> bool:
    """Return whether a metric counts held-out positives outside the bubble."""
    return metric.startswith(("discovery", "stratified_discovery"))


def is_unexplored_share(metric: str) -> bool:
    """Return whether `held_out` is the same share in the held-out data."""
    return metric.startswith("unexplored_share")


def add_dagger(metric: str, text: str) -> str:
    """Return the text with a dagger where `EXPOSURE_CAVEAT` belongs to it."""
    return f"{text}{DAGGER}" if is_discovery(metric) else text


def describe_counts(view: ReportView, metric: str) -> str:
    """Return how many users a metric is averaged over, and the hits behind it where they are known.

    Users and held-out numbers are those of the base, or of the first run that has them.
    """
    users, held_out = view.get_first(metric, "n_users"), view.get_first(metric, "held_out")
    hits = view.get_number(view.base, metric, "hits")
    parts = [format_count(int(users), "user")] if users is not None else []
    parts += [format_mean_count(hits, f"hits of {view.base}")] if hits is not None else []
    if held_out is not None:
        parts.append(
            f"held-out share {format_number(held_out)}"
            if is_unexplored_share(metric)
            else format_mean_count(held_out, "held out")
        )
    return ", ".join(parts)


def explain_discovery_counts(view: ReportView, metric: str) -> str:
    """Return the counts behind a discovery metric, what could have been detected, and what they cannot tell."""
    span, base = view.get_detectable_range(metric), view.get_number(view.base, metric, "value")
    said = ""
    if span is not None:
        share = f" ({format_percent(span[1] / abs(base), signed=False)} of {view.base})" if base else ""
        said = f" Smallest detectable difference in the median run: {format_number(span[1])}{share}."
    return f"{DAGGER} {metric}@{view.k}: {describe_counts(view, metric)}.{said} {EXPOSURE_CAVEAT}"
