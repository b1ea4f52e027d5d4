"""How time and memory grow with users, candidates and items: `python benchmarks/memory_growth.py`.

Pools, slates (relevance, diversity, negative space) and scores (the default metrics, 200 draws) of made-up worlds, at
1, 3.16 and 10 times the size. The exponent is the slope of a line through the logarithms of the medians, `ours` the
seconds at 10 times the size and `theirs` at once; linear is 1, and 0.05 is left to noise. Working memory is the peak
that Python and NumPy ask for in a step, less what is still held after it: its output, and tables kept with that.
Writes `benchmarks/results/memory_growth.csv` and the charts `benchmarks/charts/memory_growth-*.svg`.
"""

import argparse
import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import speeds
from speeds import Row, print_row, time_in_turns, time_work

from recsys import metrics, rerank
from recsys.maths import embeddings
from recsys.reports import themes
from recsys.retrieval.candidates import candidates
from recsys.scores import evaluate
from recsys.support.atomic_files import replace_file
from recsys.types import GroundTruth, Pool

HERE = Path(__file__).parent
RESULTS, CHARTS = HERE / "results" / "memory_growth.csv", HERE / "charts"
USERS, ITEMS, N, K, D, DRAWS = 2000, 2000, 100, 10, 32, 200
MEMORY_USERS = 4096  # users whose memory is measured: a block of the largest step
SIZE_FACTORS = (1.0, 10**0.5, 10.0)
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
MAX_EXPONENT = 1.05
Work = Callable[[], object]


class SizedSteps(NamedTuple):
    """What is made of a world of some size."""

    pool: Work
    slates: Work
    scores: Work


class StepTimes(NamedTuple):
    """The median seconds of a step at each size."""

    axis: str
    step: str
    sizes: list[int]
    took: list[float]

    @property
    def exponent(self) -> float:
        return float(np.polyfit(np.log(self.sizes), np.log(self.took), 1)[0])


def build_sized_steps(users: int = USERS, items: int = ITEMS, n: int = N) -> SizedSteps:
    """Return what is to be made, with all that is made once for all runs made already."""
    split = speeds.draw_split(users, items)
    model, maps = speeds.draw_factors(split, D), speeds.draw_maps(items, 4, 24)
    truth = GroundTruth(split, maps, maps, maps)
    truth.split_tables.get("cooccurrence", lambda: embeddings.cooccurrence_vectors(split.train))

    def pool() -> Pool:
        return candidates(model, split, n=n, maps=maps)

    made = pool()
    slates = rerank(made, BLEND, k=K)

    def scores() -> object:
        return evaluate({"run": slates}, truth, metrics.STANDARD, [K], n_bootstrap=DRAWS)

    return SizedSteps(pool, lambda: rerank(made, BLEND, k=K), scores)


def time_steps_by_size(axis: str, size: int, steps: tuple[str, ...], rounds: int) -> list[StepTimes]:
    """Return what each step takes at each size, sizes taking turns."""
    sizes = [round(size * times) for times in SIZE_FACTORS]
    worlds = [build_sized_steps(**{axis: one}) for one in sizes]
    found = []
    for step in steps:
        works = [partial(time_work, getattr(world, step)) for world in worlds]
        found.append(StepTimes(axis, step, sizes, np.median(time_in_turns(works, rounds), axis=0).tolist()))
    return found


def build_exponent_row(found: StepTimes) -> Row:
    first, last = found.sizes[0], found.sizes[-1]
    axis = "candidates" if found.axis == "n" else found.axis
    what = f"exponent of {found.step}, {first:,} to {last:,} {axis}; theirs is at {first:,}"
    return Row(what, found.took[-1], found.took[0], "s", found.exponent, MAX_EXPONENT, "max", "linear is 1")


def measure_working_memory(users: int) -> list[float]:
    """Return the MiB that pool, slates and scores of so many users take each, beyond what is still held afterwards."""
    world, found = build_sized_steps(users), []
    for work in world:
        tracemalloc.start()
        made = work()
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found.append((peak - held) / 2**20)
        del made
    return found


def write_growth_chart(found: list[StepTimes], axis: str, out: Path) -> None:
    """Write a chart of the seconds of each step by size, beside a dotted line that is linear."""
    import altair as alt
    import vl_convert

    named = {"n": "candidates"}.get(axis, axis)
    points = [
        {"size": size, "seconds": took, "step": f"{one.step}, exponent {one.exponent:.2f}"}
        for one in found
        for size, took in zip(one.sizes, one.took, strict=True)
    ]
    lines = [
        {"size": size, "seconds": one.took[0] * size / one.sizes[0], "step": f"{one.step}, exponent {one.exponent:.2f}"}
        for one in found
        for size in one.sizes
    ]
    x = alt.X("size:Q", title=named, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(values=found[0].sizes))
    y = alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=4))
    colour = alt.Color("step:N", title=None, sort=None)
    base = alt.Chart(alt.Data(values=points)).encode(x, y, colour)
    linear = alt.Chart(alt.Data(values=lines)).mark_line(strokeDash=[2, 4], strokeWidth=1).encode(x, y, colour)
    chart = alt.layer(linear, base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=60, opacity=1))
    chart = chart.properties(width=420, height=240, title=f"Time by {named}; dotted: linear")
    spec = json.loads(chart.to_json())
    spec["config"] = themes.build_vega_config(themes.LIGHT, themes.LIGHT["series"], legend=True)
    out.mkdir(parents=True, exist_ok=True)
    with replace_file(out / f"memory_growth-{named}.svg") as temporary:
        temporary.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


def main() -> None:
    """Measure, print, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--charts", type=Path, default=CHARTS)
    settings = parser.parse_args()
    print(speeds.NOTE)
    rows = []
    for axis, size, steps in (
        ("users", USERS, SizedSteps._fields),
        ("n", N, ("pool", "slates")),
        ("items", ITEMS, ("pool", "scores")),
    ):
        found = time_steps_by_size(axis, size, steps, settings.rounds)
        rows += [print_row(build_exponent_row(one)) for one in found]
        write_growth_chart(found, axis, settings.charts)
    for step, few, many in zip(
        SizedSteps._fields, measure_working_memory(MEMORY_USERS), measure_working_memory(10 * MEMORY_USERS), strict=True
    ):
        what = f"working memory of {step}, {10 * MEMORY_USERS:,} users; theirs is {MEMORY_USERS:,} users"
        rows.append(print_row(Row(what, many, few, "MiB", many / few, 1.2, "max", "a block of users")))
    speeds.write_speed_rows(rows, settings.out)


if __name__ == "__main__":
    main()
