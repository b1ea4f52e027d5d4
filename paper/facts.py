"""Every number and every verdict of the paper, by name: `python paper/facts.py` writes `paper/build/numbers.json`.

Constants come from the protocol and from the code that carries it out, sentences and tables from the results.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import grounds
import judges
import overviews
import sentences
from phrases import NONE, count, known, listed, method, percent, points, run
from readings import GAIN, ROOT, Results, Row, first, nearest, read

from recsys.files import write_text
from recsys.maps import families

BUILD = Path(__file__).parent / "build"
CONFIDENCE = 0.95  # of `recsys.scores.intervals`


def constants(results: Results) -> dict[str, str]:
    """Return what the protocol fixes."""
    protocol = results.protocol
    audit = _toml("configs/audit.toml")
    shares, filtered = _likes()
    roles = [one["role"] for one in protocol["methods"].values()]
    weight = protocol["methods"]["untouched"]["untouched"]["float"]
    kmeans, ward, louvain = (
        _size(audit["kmeans"], "dimensions", "regions", "seeds"),
        _size(audit["ward"], "dimensions", "regions"),
        _size(audit["louvain"], "resolutions", "seeds"),
    )
    told: dict[str, Any] = {
        "k": GAIN.partition("@")[2],
        "losses": listed([percent(loss, False) for loss in results.losses]),
        **{name: count(protocol[name]) for name in ("trials", "front", "pool", "draws")},
        **{f"n_{role}": roles.count(role) for role in ("ours", "other")},
        "weight_low": weight[0],
        "weight_high": f"{weight[1]:g}",
        "validation": percent(shares["validation"], False),
        "test": percent(shares["test"], False),
        **{name: filtered[name] for name in ("min_user", "min_item")},
        "positive": _toml("configs/ml-100k.toml")["filter"]["positive"].rpartition(" ")[2],
        "n_audit": kmeans + ward + louvain,
        "n_kmeans": kmeans,
        "n_ward": ward,
        "n_louvain": louvain,
        "audit_regions": listed([str(n) for n in audit["kmeans"]["regions"]]),
        "audit_dimensions": listed([str(n) for n in audit["kmeans"]["dimensions"]]),
        "n_own": len(families.OWN_SIZES) * len(families.OWN_NEIGHBOURS),
        "own_regions": listed([str(n) for n in families.OWN_SIZES]),
        "own_neighbours": listed([str(n) for n in families.OWN_NEIGHBOURS]),
        "confidence": percent(CONFIDENCE, False),
    }
    return {name: str(value) for name, value in told.items()}


def _toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def _size(settings: dict[str, Any], *axes: str) -> int:
    total = 1
    for axis in axes:
        total *= len(settings[axis])
    return total


def _likes() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return [split] and [filter] of the data of the headline."""
    source = (ROOT / "benchmarks" / "likes.py").read_text(encoding="utf-8")
    config = tomllib.loads(source.partition('CONFIG = """\\\n')[2].partition('"""')[0])
    return config["split"], config["filter"]


def said(results: Results) -> dict[str, str]:
    """Return what the results say."""
    headline, (low, high) = results.runs[0], (results.losses[0], results.losses[-1])
    bases = results.tables.get(f"bases-{headline}")
    return {
        "headline": run(headline),
        "about": sentences.about(results, headline),
        "claim_low": sentences.claim(results, headline, low),
        "claim_high": sentences.claim(results, headline, high),
        "others_low": sentences.standing(results, headline, low, "other"),
        "others_high": sentences.standing(results, headline, high, "other"),
        "controls": sentences.controls(results, headline, high),
        "plainest": sentences.plainest(results, headline),
        "ours": sentences.within(results, headline, high),
        "fixed": sentences.fixed(results, headline, high),
        "short": sentences.short(results, headline, high),
        "otherwise": sentences.otherwise(results, headline, high),
        "content": sentences.content(results, headline, high),
        "strata": sentences.strata(results, headline, high),
        "elsewhere": " ".join(overviews.elsewhere(results, high)),
        "briefly": overviews.briefly(results, high),
        "splits": overviews.splits(results, high),
        "judges": judges.judges(results, headline, high),
        "elsewhere_drawn": judges.briefly(results, headline, high),
        "together": judges.together(results, headline, high),
        "cut": overviews.cut(results, high),
        "halves": grounds.halves(results),
        "own_maps": grounds.own_maps(results, high),
        "errors": grounds.errors(results),
        "agreement": grounds.agreement(results),
        "n_bases": "an unknown number of" if bases is None else str(len(bases)),
    }


def methods(results: Results) -> list[list[str]]:
    """Return the table of the headline: a row per method, the one that gains most on test at the larger loss first."""
    headline, (low, high) = results.runs[0], (results.losses[0], results.losses[-1])
    before = {row.method: row for row in results.rows(headline, low)}
    gains = (f"gain at {percent(loss, False)}" for loss in (low, high))
    head = ["method", "kind", *gains, "ahead by", "fixed: nDCG", "gain"]
    rows = sorted(results.rows(headline, high), key=lambda row: -row.gain)
    if not rows:
        return [head, ["not run", *[NONE] * (len(head) - 1)]]
    return [head, *(_method(row, before[row.method]) for row in rows)]


def _method(row: Row, before: Row) -> list[str]:
    fixed = _spread(row.fixed_gain, row.fixed_gain_low, row.fixed_gain_high)
    return [method(row.method), row.role, _gain(before), _gain(row), _behind(row), percent(-row.fixed_loss), fixed]


def runs(results: Results) -> list[list[str]]:
    """Return the table of all runs: what each rests on, and what ours gained."""
    low, high = results.losses[0], results.losses[-1]
    head = [
        "run", "users", "hits", "detectable", "ours, by validation", f"gain at {percent(low, False)}",
        f"gain at {percent(high, False)}", "nearest other", "ahead by",
    ]  # fmt: skip
    return [head, *(_run(results, name, low, high) for name in results.runs)]


def _run(results: Results, name: str, low: float, high: float) -> list[str]:
    if not results.made(name):
        return [run(name), "not run", *[NONE] * 7]
    told, rows = results.about(name), results.rows(name, high)
    ours, chosen = first(rows, "ours"), first(rows)
    before = next(row for row in results.rows(name, low) if row.method == ours.method)
    near = nearest(rows, "other", chosen)
    ahead = _points(near) if chosen is ours else f"{method(chosen.method)} chosen"
    return [
        run(name), count(told.users), count(told.hits_per_map), percent(told.detectable, False), method(ours.method),
        _gain(before), _gain(ours), f"{method(near.method)} {percent(near.gain)}", ahead,
    ]  # fmt: skip


def _gain(row: Row) -> str:
    return _spread(row.gain, row.ci_low, row.ci_high)


def _spread(change: float, low: float, high: float) -> str:
    return percent(change) + (f" [{percent(low)}, {percent(high)}]" if known(low) and known(high) else "")


def _behind(row: Row) -> str:
    return _points(row) if known(row.behind_low) else NONE


def _points(row: Row) -> str:
    if not known(row.behind_low):
        return "too few users differ"
    return f"{points(row.behind)} ({points(row.behind_low)} to {points(row.behind_high)})"


def facts(results: Results | None = None) -> dict[str, Any]:
    """Return all of it: strings, and tables of strings below "tables"."""
    results = read() if results is None else results
    return {**constants(results), **said(results), "tables": {"methods": methods(results), "runs": runs(results)}}


def markdown(table: list[list[str]]) -> str:
    """Return a table in Markdown."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows]) + "\n"


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    write_text(BUILD / "numbers.json", json.dumps(facts(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
