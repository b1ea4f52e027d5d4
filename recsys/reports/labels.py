"""Placement of labels beside marks, so that none lies over another or over a mark."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, hypot

CHARACTER_WIDTH = 6.6  # mean width of a character of a name, in pixels
LABEL_HEIGHT = 14.0
MARK_HALF_WIDTH, STROKE_HALF_WIDTH = 6.0, 1.5  # half the widths of a mark and of a line
STEP = 6.0  # between the places where a line is looked at
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

# Offsets in pixels from the mark, nearest and most readable first.
OFFSETS = (
    (11, 0, "left"), (-11, 0, "right"), (0, -14, "center"), (0, 15, "center"),
    (9, -11, "left"), (9, 12, "left"), (-9, -11, "right"), (-9, 12, "right"),
    (0, -24, "center"), (0, 25, "center"), (12, -20, "left"), (12, 21, "left"), (-12, -20, "right"), (-12, 21, "right"),
)  # fmt: skip


@dataclass(frozen=True)
class LabelPlace:
    """An offset from the mark, and which end of the text lies there."""

    dx: float
    dy: float
    align: str


def place_labels(
    names: Sequence[str],
    anchors: Sequence[Point],
    marks: Sequence[Point],
    strokes: Sequence[Point],
    width: float,
    height: float,
) -> list[LabelPlace | None]:
    """Return a place for each name beside its mark, in order of importance; None where there is no room.

    Marks and names are never covered, lines only where there is no other room. All of `anchors`, `marks` and `strokes`
    are pixels from the left and the top of a frame of `width` and `height`.

    >>> place_labels(["a", "b"], [(50, 50), (52, 50)], [(50, 50), (52, 50)], [], 100, 100)
    [LabelPlace(dx=11, dy=0, align='left'), LabelPlace(dx=-11, dy=0, align='right')]
    """
    taken = [_build_square(x, y, MARK_HALF_WIDTH) for x, y in marks]
    lines = [_build_square(x, y, STROKE_HALF_WIDTH) for x, y in strokes]
    places: list[LabelPlace | None] = []
    for name, (x, y) in zip(names, anchors, strict=True):
        options = [
            (LabelPlace(dx, dy, align), _build_label_box(name, x + dx, y + dy, align)) for dx, dy, align in OFFSETS
        ]
        free = [option for option in options if _is_inside(option[1], width, height) and _is_free(option[1], taken)]
        clear = [option for option in free if _is_free(option[1], lines)]
        best = next(iter(clear or free), None)
        places.append(best[0] if best else None)
        taken += [best[1]] if best else []
    return places


def sample_line_points(line: Sequence[Point]) -> list[Point]:
    """Return points along a broken line, at most `STEP` apart.

    >>> sample_line_points([(0, 0), (12, 0)])
    [(0.0, 0.0), (6.0, 0.0), (12.0, 0.0)]
    """
    found: list[Point] = []
    for (x0, y0), (x1, y1) in pairwise(line):
        n = max(1, ceil(hypot(x1 - x0, y1 - y0) / STEP))
        found += [(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n) for i in range(n + 1)]
    return found


def _build_square(x: float, y: float, half: float) -> Box:
    return x - half, y - half, x + half, y + half


def _build_label_box(name: str, x: float, y: float, align: str) -> Box:
    length = CHARACTER_WIDTH * len(name)
    left = {"left": x, "right": x - length, "center": x - length / 2}[align]
    return left, y - LABEL_HEIGHT / 2, left + length, y + LABEL_HEIGHT / 2


def _is_inside(box: Box, width: float, height: float) -> bool:
    return box[0] >= 2 and box[1] >= 2 and box[2] <= width - 2 and box[3] <= height - 2


def _is_free(box: Box, taken: Sequence[Box]) -> bool:
    return all(box[2] <= o[0] or box[0] >= o[2] or box[3] <= o[1] or box[1] >= o[3] for o in taken)
