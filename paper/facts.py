"""Every number and every verdict of the paper, by name: `python paper/facts.py` writes `paper/build/numbers.json`.

Constants come from the protocol and from the code that carries it out, sentences and tables from the results.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import judges
import method_checks
import other_runs
import sentences
from formatting import (
    NONE,
    format_count,
    format_method,
    format_percent,
    format_points,
    format_run,
    is_finite,
    join_names,
)
from load_results import GAIN, ROOT, Results, Row, find_nearest_rival, pick_validation_best, read_result_tables

from recsys.maps import families
from recsys.support.atomic_files import write_text

BUILD = Path(__file__).parent / "build"
CONFIDENCE = 0.95  # of `recsys.scores.intervals`


def collect_constants(results: Results) -> dict[str, str]:
    """Return what the protocol fixes."""
    protocol = results.protocol
    audit = _read_toml("configs/audit.toml")
    shares, filtered = _read_likes_config()
    roles = [one["role"] for one in protocol["methods"].values()]
    weight = protocol["methods"]["unexplored"]["unexplored"]["weight"]["float"]
    kmeans, ward, louvain = (
        _multiply_lengths(audit["kmeans"], "dimensions", "regions", "seeds"),
        _multiply_lengths(audit["ward"], "dimensions", "regions"),
        _multiply_lengths(audit["louvain"], "resolutions", "seeds"),
    )
    told: dict[str, Any] = {
        "k": GAIN.partition("@")[2],
        "losses": join_names([format_percent(loss, False) for loss in results.losses]),
        **{name: format_count(protocol[name]) for name in ("trials", "front", "pool")},
        "draws": format_count(protocol["n_bootstrap"]),
        **{f"n_{role}": roles.count(role) for role in ("ours", "other")},
        "weight_low": weight[0],
        "weight_high": f"{weight[1]:g}",
        "validation": format_percent(shares["validation"], False),
        "test": format_percent(shares["test"], False),
        **{name: filtered[name] for name in ("min_user_interactions", "min_item_interactions")},
        "positive": _read_toml("configs/ml-100k.toml")["filter"]["positive"].rpartition(" ")[2],
        "n_audit": kmeans + ward + louvain,
        "n_kmeans": kmeans,
        "n_ward": ward,
        "n_louvain": louvain,
        "audit_regions": join_names([str(n) for n in audit["kmeans"]["regions"]]),
        "audit_dimensions": join_names([str(n) for n in audit["kmeans"]["dimensions"]]),
        "n_own": len(families.OWN_SIZES) * len(families.OWN_NEIGHBOURS),
        "own_regions": join_names([str(n) for n in families.OWN_SIZES]),
        "own_neighbours": join_names([str(n) for n in families.OWN_NEIGHBOURS]),
        "confidence": format_percent(CONFIDENCE, False),
    }
    return {name: str(value) for name, value in told.items()}


def _read_toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def _multiply_lengths(settings: dict[str, Any], *axes: str) -> int:
    total = 1
    for axis in axes:
        total *= len(settings[axis])
    return total


def _read_likes_config() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return [split] and [filter] of the data of the headline."""
    source = (ROOT / "benchmarks" / "likes.py").read_text(encoding="utf-8")
    config = tomllib.loads(source.partition('CONFIG = """\\\n')[2].partition('"""')[0])
    return config["split"], config["filter"]


def collect_sentences(results: Results) -> dict[str, str]:
    """Return what the results say."""
    headline, (low, high) = results.runs[0], (results.losses[0], results.losses[-1])
    bases = results.tables.get(f"bases-{headline}")
    return {
        "headline": format_run(headline),
        "about": sentences.describe_data(results, headline),
        "claim_low": sentences.describe_claim(results, headline, low),
        "claim_high": sentences.describe_claim(results, headline, high),
        "others_low": sentences.describe_rivals(results, headline, low, "other"),
        "others_high": sentences.describe_rivals(results, headline, high, "other"),
        "controls": sentences.describe_controls(results, headline, high),
        "plainest": sentences.describe_plain_lists(results, headline),
        "ours": sentences.describe_own_methods(results, headline, high),
        "fixed": sentences.describe_fixed_point(results, headline, high),
        "short": sentences.describe_short_curves(results, headline, high),
        "otherwise": sentences.describe_other_metrics(results, headline, high),
        "content": sentences.describe_content_maps(results, headline, high),
        "strata": sentences.describe_strata(results, headline, high),
        "elsewhere": " ".join(other_runs.describe_other_runs(results, high)),
        "briefly": other_runs.summarize_other_runs(results, high),
        "splits": other_runs.describe_other_splits(results, high),
        "judges": judges.describe_judges(results, headline, high),
        "elsewhere_drawn": judges.summarize_other_logs(results, headline, high),
        "together": judges.describe_pooled_splits(results, headline, high),
        "cut": other_runs.describe_cut_intervals(results, high),
        "shared-users-bias": method_checks.describe_shared_users_bias(results),
        "own_maps": method_checks.describe_own_maps(results, high),
        "errors": method_checks.describe_test_errors(results),
        "agreement": method_checks.describe_agreement(results),
        "n_bases": "an unknown number of" if bases is None else str(len(bases)),
    }


def tabulate_methods(results: Results) -> list[list[str]]:
    """Return the table of the headline: a row per method, the one that gains most on test at the larger loss first."""
    headline, (low, high) = results.runs[0], (results.losses[0], results.losses[-1])
    before = {row.method: row for row in results.select_rows(headline, low)}
    gains = (f"gain at {format_percent(loss, False)}" for loss in (low, high))
    head = ["method", "kind", *gains, "ahead by", "fixed: nDCG", "gain"]
    rows = sorted(results.select_rows(headline, high), key=lambda row: -row.gain)
    if not rows:
        return [head, ["not run", *[NONE] * (len(head) - 1)]]
    return [head, *(_build_method_row(row, before[row.method]) for row in rows)]


def _build_method_row(row: Row, before: Row) -> list[str]:
    fixed = _format_interval(row.fixed_gain, row.fixed_gain_low, row.fixed_gain_high)
    return [
        format_method(row.method),
        row.role,
        _format_gain(before),
        _format_gain(row),
        _format_behind(row),
        format_percent(-row.fixed_loss),
        fixed,
    ]


def tabulate_runs(results: Results) -> list[list[str]]:
    """Return the table of all runs: what each rests on, and what ours gained."""
    low, high = results.losses[0], results.losses[-1]
    head = [
        "run", "users", "hits", "detectable", "ours, by validation", f"gain at {format_percent(low, False)}",
        f"gain at {format_percent(high, False)}", "nearest other", "ahead by",
    ]  # fmt: skip
    return [head, *(_build_run_row(results, name, low, high) for name in results.runs)]


def _build_run_row(results: Results, name: str, low: float, high: float) -> list[str]:
    if not results.has_run(name):
        return [format_run(name), "not run", *[NONE] * 7]
    told, rows = results.get_run_data(name), results.select_rows(name, high)
    ours, chosen = pick_validation_best(rows, "ours"), pick_validation_best(rows)
    before = next(row for row in results.select_rows(name, low) if row.method == ours.method)
    near = find_nearest_rival(rows, "other", chosen)
    ahead = _format_points(near) if chosen is ours else f"{format_method(chosen.method)} chosen"
    return [
        format_run(name),
        format_count(told.users),
        format_count(told.hits_per_map),
        format_percent(told.detectable, False),
        format_method(ours.method),
        _format_gain(before),
        _format_gain(ours),
        f"{format_method(near.method)} {format_percent(near.gain)}",
        ahead,
    ]


def _format_gain(row: Row) -> str:
    return _format_interval(row.gain, row.ci_low, row.ci_high)


def _format_interval(change: float, low: float, high: float) -> str:
    return format_percent(change) + (
        f" [{format_percent(low)}, {format_percent(high)}]" if is_finite(low) and is_finite(high) else ""
    )


def _format_behind(row: Row) -> str:
    return _format_points(row) if is_finite(row.behind_low) else NONE


def _format_points(row: Row) -> str:
    if not is_finite(row.behind_low):
        return "too few users differ"
    return f"{format_points(row.behind)} ({format_points(row.behind_low)} to {format_points(row.behind_high)})"


def collect_facts(results: Results | None = None) -> dict[str, Any]:
    """Return all of it: strings, and tables of strings below "tables"."""
    results = read_result_tables() if results is None else results
    return {
        **collect_constants(results),
        **collect_sentences(results),
        "tables": {"methods": tabulate_methods(results), "runs": tabulate_runs(results)},
    }


def format_markdown_table(table: list[list[str]]) -> str:
    """Return a table in Markdown."""
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows]) + "\n"


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    write_text(BUILD / "numbers.json", json.dumps(collect_facts(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
