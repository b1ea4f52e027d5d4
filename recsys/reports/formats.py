"""Numbers as text: the same number reads the same in charts, tables and sentences."""

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ARROWS = {1: "\N{UPWARDS ARROW}", -1: "\N{DOWNWARDS ARROW}", 0: "\N{LEFT RIGHT ARROW}"}
BETTER = {1: "more is better", -1: "less is better", 0: "neither end is better"}


def number(value: float | None, signed: bool = False) -> str:
    """Return a number with about four digits, an en dash for None.

    >>> number(0.30218), number(1234567.0), number(12.0), number(-0.00004)
    ('0.3022', '1,234,567', '12', '\N{MINUS SIGN}0.00004')
    """
    if value is None:
        return MISSING
    if value == int(value):
        text = f"{int(value):{'+' if signed else ''},}"
    elif abs(value) < 0.001:
        text = f"{value:{'+' if signed else ''}.5f}".rstrip("0")
        text = text if text.strip("+-0.") else f"{value:{'+' if signed else ''}.1e}"
    else:
        digits = 4 if abs(value) < 1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
        text = f"{value:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS)


def percent(fraction: float | None, signed: bool = True) -> str:
    """Return a fraction in per cent.

    >>> percent(0.0312), percent(-0.0004), percent(12.0), percent(0.0), percent(None)
    ('+3.1 %', '\N{MINUS SIGN}0.04 %', '+1,200 %', '0.0 %', '\N{EN DASH}')
    """
    if fraction is None:
        return MISSING
    if fraction == 0:
        return "0.0 %"
    digits = 0 if abs(fraction) >= 10 else 1 if abs(fraction) >= 0.001 else 2 if abs(fraction) >= 0.0001 else 3
    return f"{100 * fraction:{'+' if signed else ''},.{digits}f} %".replace("-", MINUS)


def interval(low: float | None, high: float | None, signed: bool = False) -> str:
    """Return an interval in the units of the value, "" where an end is missing."""
    return "" if low is None or high is None else f"{number(low, signed)} to {number(high, signed)}"


def interval_percent(low: float | None, high: float | None) -> str:
    """Return an interval of fractions in per cent, "" where an end is missing."""
    return "" if low is None or high is None else f"{percent(low).removesuffix(' %')} to {percent(high)}"


def duration(seconds: float | None) -> str:
    """Return seconds with a unit.

    >>> duration(0.0042), duration(3.14159), duration(75.0)
    ('4.2 ms', '3.14 s', '75.0 s')
    """
    if seconds is None:
        return MISSING
    return f"{1000 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "run"), plural(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tally(count: float | None, of: str = "") -> str:
    """Return a count of what `of` names; one that is not whole is a mean over maps, and says so.

    >>> tally(57.0, "hits"), tally(25.29, "hits"), tally(1676.2), tally(None)
    ('57 hits', '25.3 hits per map', '1,676 per map', '\N{EN DASH}')
    """
    if count is None:
        return MISSING
    whole, noun = count == int(count), f" {of}" if of else ""
    return f"{count:,.0f}{noun}" if whole else f"{count:,.{1 if abs(count) < 100 else 0}f}{noun} per map"


def arrow(direction: float | None) -> str:
    """Return the arrow of a direction, "" where unknown."""
    return "" if direction is None else ARROWS[int(direction)]
