"""What is said beside a kind of number, wherever it is printed."""

from recsys.reports.formats import number, percent, plural, tally
from recsys.reports.sheets import Sheet

EXPOSURE = "Logged positives outside the bubble exist only where exposure allowed."
MARK = "\N{DAGGER}"


def of_discovery(metric: str) -> bool:
    """Return whether a metric counts held-out positives outside the bubble."""
    return metric.startswith("discovery")


def of_shares(metric: str) -> bool:
    """Return whether `held_out` is the same share in the held-out data."""
    return metric.startswith("untouched_share")


def marked(metric: str, text: str) -> str:
    """Return the text with a dagger where `EXPOSURE` belongs to it."""
    return f"{text}{MARK}" if of_discovery(metric) else text


def counted(sheet: Sheet, metric: str) -> str:
    """Return how many users a metric is averaged over, and the hits behind it where they are known.

    Users and held-out numbers are those of the base, or of the first run that has them.
    """
    users, held_out = sheet.first(metric, "n_users"), sheet.first(metric, "held_out")
    hits = sheet.number(sheet.base, metric, "hits")
    parts = [plural(int(users), "user")] if users is not None else []
    parts += [tally(hits, f"hits of {sheet.base}")] if hits is not None else []
    if held_out is not None:
        parts.append(f"held-out share {number(held_out)}" if of_shares(metric) else tally(held_out, "held out"))
    return ", ".join(parts)


def behind(sheet: Sheet, metric: str) -> str:
    """Return the counts behind a discovery metric, what could have been detected, and what they cannot tell."""
    span, base = sheet.detectable(metric), sheet.number(sheet.base, metric, "value")
    said = ""
    if span is not None:
        share = f" ({percent(span[1] / abs(base), signed=False)} of {sheet.base})" if base else ""
        said = f" Smallest detectable difference in the median run: {number(span[1])}{share}."
    return f"{MARK} {metric}@{sheet.k}: {counted(sheet, metric)}.{said} {EXPOSURE}"
