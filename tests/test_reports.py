import html
import json
import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import convert_charts, draw_picture

from recsys.html import make_element
from recsys.reports import Example, Results, SweepReport, build_charts, write_charts, write_report, write_sweep_report
from recsys.reports.charts import draw_charts
from recsys.reports.labels import CHARACTER_WIDTH, LABEL_HEIGHT, place_labels
from recsys.reports.power import classify_difference
from recsys.reports.scales import PlottedValue, choose_domain
from recsys.reports.themes import DARK, LIGHT, choose_series_colour, choose_series_shape
from recsys.reports.view import build_report_view
from recsys.types import RecsysError

BLENDS = {
    # blend: (share of ndcg lost, share of discovery won, bits of novelty won) at the largest weight
    "mmr": (0.05, 0.12, 0.35),
    "dpp": (0.04, 0.09, 0.30),
    "calibration": (0.10, -0.45, 0.05),
    "novelty": (0.24, 0.18, 1.60),
    "serendipity": (0.12, 0.22, 0.90),
    "exploration_ucb": (0.09, 0.10, 0.80),
    "exploration_thompson": (0.07, 0.05, 0.45),
    "negative_space": (0.04, 0.34, 0.25),
    "unexplored": (0.03, 0.41, 0.40),
    "noise": (0.08, -0.03, 0.20),
}
FAMILIES = {
    "accuracy": ["ndcg", "recall", "precision", "hit_rate", "mrr"],
    "novelty": ["self_information"],
    "mmr": ["ild_features", "ild_cooccurrence"],
    "catalogue": ["coverage", "gini"],
    "calibration": ["calibration_kl"],
    "serendipity": ["serendipity"],
    "discovery": [
        "discovery", "discovery_own", "discovery_content",
        "unexplored_share", "unexplored_share_own", "unexplored_share_content",
    ],
    "negative space": ["exposure_deficit", "exposure_deficit_own"],
}  # fmt: skip
# metric: value of the base, half an interval as a share of it, direction, what drives it
METRICS = {
    "ndcg": (0.302, 0.035, 1, "loss"), "recall": (0.214, 0.045, 1, "loss"), "precision": (0.198, 0.04, 1, "loss"),
    "hit_rate": (0.741, 0.03, 1, "loss"), "mrr": (0.462, 0.05, 1, "loss"),
    "self_information": (9.14, 0.006, 1, "bits"), "ild_features": (0.612, 0.012, 1, "gain"),
    "ild_cooccurrence": (0.571, 0.01, 1, "gain"), "coverage": (0.384, 0.02, 1, "gain"),
    "gini": (0.871, 0.008, -1, "loss"),
    "calibration_kl": (0.482, 0.03, -1, "gain"), "serendipity": (0.061, 0.09, 1, "gain"),
    "discovery": (0.0412, 0.21, 1, "gain"), "discovery_own": (0.0388, 0.2, 1, "gain"),
    "discovery_content": (0.0297, 0.3, 1, "gain"), "unexplored_share": (0.143, 0.03, 1, "gain"),
    "unexplored_share_own": (0.131, 0.03, 1, "gain"), "unexplored_share_content": (0.092, 0.04, 1, "gain"),
    "exposure_deficit": (0.517, 0.015, -1, "loss"), "exposure_deficit_own": (0.496, 0.015, -1, "loss"),
}  # fmt: skip
CONTROLS = {"most_popular": (0.47, -0.35, -1.6), "random": (0.965, -0.72, 3.4), "random_rerank": (0.71, -0.28, 1.2)}
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"


def moved(metric: str, effect: tuple[float, float, float]) -> float:
    """The value of a metric under an effect on ndcg, discovery and bits."""
    base, _, direction, driver = METRICS[metric]
    loss, gain, bits = effect
    if driver == "bits":
        return base + bits
    return base * (1 - loss) if driver == "loss" else base * (1 + gain * (direction or 1))


def make_runs() -> list[tuple[str, str, str, float, tuple[float, float, float]]]:
    """Run, kind, blend, weight and effect."""
    runs: list[tuple[str, str, str, float, tuple[float, float, float]]] = [
        (name, "control", name, np.nan, effect) for name, effect in CONTROLS.items()
    ]
    runs += [("als", "base", "als", np.nan, (0.0, 0.0, 0.0)), ("ease", "model", "ease", np.nan, (-0.06, -0.04, -0.3))]
    for blend, effect in BLENDS.items():
        for weight, share in ((0.05, 0.25), (0.1, 0.5), (0.2, 1.0)):
            loss, gain, bits = effect
            runs.append((f"{blend}-{weight}", "blend", blend, weight, (loss * share**1.6, gain * share, bits * share)))
    return runs


def make_results(seed: int = 0) -> Results:
    """Forty runs as a benchmark of ml-100k would have them."""
    generator = np.random.default_rng(seed)
    summary, differences = [], []
    for run, kind, blend, weight, effect in make_runs():
        seconds = generator.uniform(0.02, 4.0)
        for metric, (base, half, direction, _) in METRICS.items():
            for k, factor in ((5, 0.93), (10, 1.0), (20, 1.08)):
                noise = generator.normal(0, 0.15 * half * base)
                value = factor * (moved(metric, effect) + (noise if kind != "base" else 0.0))
                wide, discovers = half * abs(value), metric.startswith("discovery")
                users = 212.0 if discovers else 941.0
                held_out = 431.0 if discovers else 0.236 if metric.startswith("unexplored_share") else np.nan
                summary.append((
                    run, kind, blend, weight, metric, k, value, value - wide, value + wide, users,
                    f"{metric} as the documentation defines it; mean over users with held-out positives", direction,
                    seconds, round(57 * value / base) if discovers else np.nan, held_out,
                ))  # fmt: skip
                if kind != "base":
                    d, w = value - factor * base, 0.45 * half * base
                    differences.append((
                        run, "als", metric, k, d, d - w, d + w, d / (factor * base), (d - w) / (factor * base),
                        (d + w) / (factor * base), float(np.exp(-abs(d / w) * 3)), 1.43 * w, users, users // 2,
                    ))  # fmt: skip
    columns = (
        "run", "kind", "blend", "weight", "metric", "k", "value", "ci_low", "ci_high", "n_users", "convention",
        "direction", "seconds", "hits", "held_out",
    )  # fmt: skip
    against = (
        "run", "against", "metric", "k", "difference", "ci_low", "ci_high", "relative", "relative_low",
        "relative_high", "p_value", "detectable", "n_users", "n_differ",
    )  # fmt: skip
    return Results(
        summary=pd.DataFrame(summary, columns=list(columns)),
        differences=pd.DataFrame(differences, columns=list(against)),
        facts=FACTS,
        k=10,
        base="als",
        families=FAMILIES,
    )


FACTS = {
    "data": {
        "name": "ml-100k", "fingerprint": "3f5a9c0e8d1b47a2",
        "licence": "GroupLens research licence, no commercial use",
        "users": 941, "items": 1447, "interactions": 100000, "positives": 54413, "density": 0.0399,
        "source": "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    },
    "filter": {"positive": "rating >= 4", "min_user_interactions": 10, "min_item_interactions": 5, "users dropped": 2, "items dropped": 235},
    "split": {
        "kind": "per_user_time", "validation": 0.1, "test": 0.2, "train positives": 38291, "test positives": 10852,
        "notes": [
            "Each user is cut at their own time: a model has seen other users' later interactions.",
            "118 test items are unseen in training and were kept.",
        ],
    },
    "models": {
        "als": {"factors": 64, "regularization": 0.05, "alpha": 20.0, "iterations": 15, "seed": 0},
        "ease": {"l2": 250.0},
    },
    "pool": {"n": 200, "exclude_seen": True},
    "blends": {
        name: {"relevance": 1.0, name: {"weight": [0.05, 0.1, 0.2]}, "guards": []} for name in BLENDS
    },
    "audit maps": {"methods": ["k-means", "Ward", "Louvain"], "maps": 24, "protocol": "audit-1"},
    "seeds": {"seed": 0},
    "versions": {"recsys": "0.1.0", "python": "3.11.9", "numpy": "2.4.0", "scipy": "1.17.0", "numba": "0.63.1"},
    "machine": {"system": "Linux 6.8 x86_64", "cores": 2, "memory": "8 GiB"},
    "git commit": "8f66335",
    "seconds": 71.4,
    "notes": ["Repeated pairs: 0.", "exploration_thompson: one draw per user."],
    "citation": "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context.\n"
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19.",
}  # fmt: skip


def pick(results: Results, **kept: Collection[str]) -> Results:
    """The same results with only some runs or metrics."""
    summary, against = results.summary, results.differences
    for column, names in kept.items():
        summary, against = summary[summary[column].isin(names)], against[against[column].isin(names)]
    return replace(results, summary=summary, differences=against)


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def few(results: Results) -> Results:
    runs = ("random", "als", "ease", "unexplored-0.05", "unexplored-0.1", "unexplored-0.2", "noise-0.1")
    return pick(results, run=runs, metric=("ndcg", "recall", "self_information", "discovery", "unexplored_share"))


@pytest.fixture(scope="module")
def specs(few: Results) -> dict[str, dict[str, Any]]:
    return {name: chart.to_dict() for name, chart in build_charts(few).items()}


@pytest.fixture(scope="module")
def written(results: Results, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    with convert_charts(draw_picture):
        return write_report(results, tmp_path_factory.mktemp("run"))


class Elements(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def rows_of(page: str) -> dict[str, list[str]]:
    """The texts of each run's row in the table of differences."""
    table = page[page.index('id="differences"') :]
    table = table[: table.index("</table>")]
    rows = [Elements("<tr" + row).texts for row in table.split("<tr")[2:]]
    return {name: texts for name, *texts in rows}


# The page


def test_files_are_the_page_and_every_chart(written: list[Path]) -> None:
    assert written[0].name == "report.html"
    assert [path.parent.name for path in written[1:]] == ["charts"] * (2 + len(FAMILIES))
    assert {path.suffix for path in written[1:]} == {".svg"}
    assert all(path.stat().st_size > 1000 for path in written)
    assert not list(written[0].parent.rglob(".part-*"))


def test_page_asks_no_network_for_anything(written: list[Path]) -> None:
    page = written[0].read_text(encoding="utf-8")
    elements = Elements(page).found
    assert not [a for _, a in elements if (a.get("src") or "").strip()]
    assert not [t for t, _ in elements if t in {"link", "iframe", "object", "embed", "base", "form", "img"}]
    assert all((a.get("href") or "#").startswith("#") for _, a in elements)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style
    policy = next(a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy
    assert written[0].stat().st_size < 3_000_000


def test_libraries_are_embedded_once(written: list[Path]) -> None:
    page = written[0].read_text(encoding="utf-8")
    assert page.count("window.vegaEmbed") == 1
    assert [a.get("type") for t, a in Elements(page).found if t == "script"] == ["application/json", None, None]


def test_charts_of_the_page_are_the_charts(few: Results, specs: dict[str, Any], tmp_path: Path) -> None:
    page = write_report(few, tmp_path)[0].read_text(encoding="utf-8")
    data = page[page.index('id="charts">') + len('id="charts">') :]
    shown = json.loads(data[: data.index("</script>")])["charts"]
    assert list(shown) == list(specs) == ["tradeoff-discovery", "tradeoff-novelty", *(
        f"family-{name}" for name in ("accuracy", "novelty", "discovery")
    )]  # fmt: skip
    for name, spec in shown.items():
        assert spec["datasets"] == specs[name]["datasets"]
        marks = [part["mark"] for part in spec.get("layer") or spec["concat"][0]["layer"]]
        assert marks == [part["mark"] for part in specs[name].get("layer") or specs[name]["concat"][0]["layer"]]


@pytest.mark.usefixtures("drawn_charts")
def test_hostile_names_stay_text(few: Results, tmp_path: Path) -> None:
    summary, against = few.summary.copy(), few.differences.copy()
    for table in (summary, against):
        table["run"] = table["run"].replace({"unexplored-0.1": HOSTILE, "als": f"als{HOSTILE}"})
    summary["blend"] = summary["blend"].replace({"unexplored": f"b{HOSTILE}", "als": f"als{HOSTILE}"})
    summary["convention"] = HOSTILE
    against["against"] = f"als{HOSTILE}"
    facts = {"data": {"name": HOSTILE}, HOSTILE: {HOSTILE: [HOSTILE]}, "blends": {f"b{HOSTILE}": {HOSTILE: HOSTILE}}}
    families = {HOSTILE: ["ndcg"], "novelty": ["self_information"]}
    hostile = Results(summary, against, facts, 10, f"als{HOSTILE}", families)
    paths = write_report(hostile, tmp_path)
    page = Elements(paths[0].read_text(encoding="utf-8"))
    assert [t for t, _ in page.found].count("script") == 3
    assert not [t for t, a in page.found if t == "img" or any(name.startswith("on") for name in a)]
    assert HOSTILE in page.texts
    for path in paths[1:]:
        assert path.parent == tmp_path / "charts"
        tags = {node.tag.rsplit("}", 1)[-1] for node in ElementTree.parse(path).iter()}
        assert not tags & {"script", "img", "image", "foreignObject"}


def test_order_of_the_page(written: list[Path]) -> None:
    page = written[0].read_text(encoding="utf-8")
    parts = [
        "<h1>recsys: ml-100k</h1>", "35 runs: 1 model, 3 controls, 10 blends at 3 weights each",
        "<h2>In short", "<h3>Accuracy against discovery", "<h3>Accuracy against novelty",
        "<h2>Differences against als, k = 10", "<h2>Other slate lengths", "<h2>Every metric at k = 10",
        "<h2>How large an effect this data could have shown", "<h2>What each metric is", "<h2>What was run", "The MovieLens Datasets",
    ]  # fmt: skip
    places = [page.index(part) for part in parts]
    assert places == sorted(places)


def test_exposure_is_said_beside_discovery(written: list[Path]) -> None:
    said = "Logged positives outside the bubble exist only where exposure allowed."
    page = written[0].read_text(encoding="utf-8")
    sections = page[: page.index('<script type="application/json"')].split("<section")
    for name in ("tradeoffs", "metrics", "table", "effects", "conventions"):
        assert said in next(section for section in sections if f'id="{name}"' in section), name
    assert "212 users, 57 hits of als, 431 held out" in page
    for path in written[1:]:
        text = path.read_text(encoding="utf-8")
        assert (said in text) == ("discovery@10" in text), path.name


# The charts


def test_points_are_the_numbers(few: Results, specs: dict[str, Any]) -> None:
    rows = {row["run"]: row for row in specs["tradeoff-discovery"]["datasets"]["runs"]}
    table = few.summary[few.summary["k"] == 10].set_index(["run", "metric"])
    changes = few.differences[few.differences["k"] == 10].set_index(["run", "metric"])
    for run, row in rows.items():
        for channel, metric in (("x", "ndcg"), ("y", "discovery")):
            cell, base = table.loc[(run, metric)], table.loc[("als", metric)]
            assert row[channel] == cell["value"]
            if run == "als":
                expected = [cell["ci_low"], cell["ci_high"]]
            else:  # the interval of the paired difference, around the value of the base
                expected = [base["value"] + changes.loc[(run, metric)][end] for end in ("ci_low", "ci_high")]
            assert [row[f"{channel}_low"], row[f"{channel}_high"]] == pytest.approx(expected)
    assert [run for run, row in rows.items() if row["base"]] == ["als"]
    assert {run for run, row in rows.items() if row["off"]} == {"random"}
    assert rows["random"]["x_at"] > rows["random"]["x"]
    assert "\N{LEFTWARDS ARROW}" in rows["random"]["text"] and "0.009" in rows["random"]["text"]


def test_pointing_tells_every_number_and_setting(specs: dict[str, Any]) -> None:
    runs = specs["tradeoff-discovery"]["datasets"]["runs"]
    tip = next(row["tip"] for row in runs if row["run"] == "unexplored-0.2")
    assert list(tip) == [
        "title", "kind", "weight", "settings", "ndcg@10", "ndcg@10 against als", "ndcg@10 users", "discovery@10",
        "discovery@10 against als", "discovery@10 users", "discovery@10 hits", "discovery@10 held out",
        "seconds", "note",
    ]  # fmt: skip
    assert tip["settings"] == "relevance = 1.0, unexplored = {weight = [0.05, 0.1, 0.2]}, guards = []"
    assert tip["discovery@10 held out"] == "431"


def test_blends_are_joined_in_order_of_weight(few: Results) -> None:
    shuffled = replace(few, summary=few.summary.sample(frac=1.0, random_state=3))
    spec = draw_charts(build_report_view(shuffled))["tradeoff-discovery"]
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    assert line["encoding"]["order"]["field"] == "weight"
    sizes = {r["run"]: r["size"] for r in spec["datasets"]["runs"] if r["series"] == "unexplored"}
    assert sizes["unexplored-0.05"] < sizes["unexplored-0.1"] < sizes["unexplored-0.2"]


def test_held_out_share_stands_in_its_panel_only(specs: dict[str, Any]) -> None:
    data = specs["family-discovery"]["datasets"]
    held_out = {name: [r["at"] for r in rows if r.get("rule") == "held out"] for name, rows in data.items()}
    assert held_out["unexplored_share rules"] == [0.236]
    assert held_out["discovery rules"] == []


def test_pictures_are_images_without_links(written: list[Path]) -> None:
    for path in written[1:]:
        tree = ElementTree.parse(path)
        words = " ".join(text.strip() for text in tree.getroot().itertext())
        assert "unexplored" in words and "als" in words
        assert not [a for node in tree.iter() for a in node.attrib if a.rsplit("}", 1)[-1] == "href"]


@pytest.mark.usefixtures("drawn_charts")
def test_same_results_same_bytes(few: Results, tmp_path: Path) -> None:
    beside, again = write_report(few, tmp_path / "b"), write_report(few, tmp_path / "c")
    assert [path.read_bytes() for path in beside] == [path.read_bytes() for path in again]
    alone, beside = write_charts(few, tmp_path / "a"), beside[1:]
    assert [path.relative_to(tmp_path / "a") for path in alone] == [path.relative_to(tmp_path / "b") for path in beside]
    assert [path.read_bytes() for path in alone] == [path.read_bytes() for path in beside]


# The table and the effects


def small(**changes: float) -> Results:
    """Two runs and two metrics, by hand."""
    blank = {
        "blend": "",
        "weight": np.nan,
        "k": 10,
        "convention": "c",
        "direction": 1,
        "hits": np.nan,
        "held_out": np.nan,
    }
    summary = [
        blank | {"run": run, "kind": kind, "blend": run, "metric": metric, "value": value, "ci_low": value - 0.1,
                 "ci_high": value + 0.1, "n_users": 50, "seconds": 1.5}
        for run, kind, shift in (("base", "base", 0.0), ("other", "model", -0.02))
        for metric, value in (("ndcg", 0.4 + shift), ("discovery", 0.2 + shift))
    ]  # fmt: skip
    row = {"run": "other", "against": "base", "k": 10, "p_value": 0.5, "n_users": 50, "n_differ": 30}
    ndcg = {"metric": "ndcg", "difference": -0.02, "ci_low": -0.03, "ci_high": -0.01, "relative": -0.05,
            "relative_low": -0.075, "relative_high": -0.025, "detectable": 0.015}  # fmt: skip
    discovery = {"metric": "discovery", "difference": -0.02, "ci_low": -0.06, "ci_high": 0.02, "relative": -0.1,
                 "relative_low": -0.3, "relative_high": 0.1, "detectable": 0.05}  # fmt: skip
    differences = pd.DataFrame([row | ndcg, row | discovery | changes])
    return Results(pd.DataFrame(summary), differences, {}, 10, "base", {"accuracy": ["ndcg"], "found": ["discovery"]})


def test_table_by_hand(tmp_path: Path) -> None:
    page = write_report(small(), tmp_path)[0].read_text(encoding="utf-8")
    rows = rows_of(page)
    assert rows["base"] == ["1.50 s", "0.4000", "0.3000 to 0.5000", "0.2000", "0.1000 to 0.3000"]
    minus = "\N{MINUS SIGN}"
    assert rows["other"] == [
        "1.50 s", f"{minus}5.0 %", f"{minus}7.5 to {minus}2.5", f"{minus}10.0 %", f"{minus}30.0 to +10.0 ", "n.d.",
    ]  # fmt: skip


def test_every_run_is_in_the_table_winning_or_losing(results: Results, written: list[Path]) -> None:
    page = written[0].read_text(encoding="utf-8")
    rows = rows_of(page)
    assert set(rows) == set(results.summary["run"])
    table = page[page.index('id="differences"') :]
    table = table[: table.index("</table>")]
    styles = {a.get("class") for t, a in Elements(table).found if t == "td"}
    assert styles == {"n"}  # no cell looks different from another


@pytest.mark.parametrize(
    ("difference", "low", "high", "detectable", "said"),
    [
        (0.02, -0.01, 0.05, 0.04, "not detectable on this data"),
        (0.02, 0.01, 0.03, 0.04, "interval without 0"),
        (-0.02, -0.03, -0.01, 0.04, "interval without 0"),
        (0.05, -0.01, 0.11, 0.04, "other intervals with 0"),
        (0.02, -0.01, 0.05, None, "other intervals with 0"),
        (0.0, 0.0, 0.0, 0.0, "other intervals with 0"),
        (None, None, None, None, "not defined on this data"),
    ],
)
def test_verdict_is_the_rule(
    difference: float | None, low: float | None, high: float | None, detectable: float | None, said: str
) -> None:
    row = {"difference": difference, "ci_low": low, "ci_high": high, "detectable": detectable}
    assert classify_difference(row) == said


def test_few_users_who_differ_are_no_undefined_metric() -> None:
    row = {"difference": 0.1, "ci_low": None, "ci_high": None, "detectable": None, "n_differ": 12.0}
    assert classify_difference(row) == "fewer than 20 users differ"
    assert classify_difference({**row, "n_differ": None}) == "not defined on this data"


def test_sentences_follow_the_numbers(tmp_path: Path) -> None:
    page = write_report(small(), tmp_path / "a")[0].read_text(encoding="utf-8")
    assert (
        "with 50 users: the smallest detectable difference is 0.0150 (3.8 % of base) in the median run; 0 of 1 run"
        in page
    )
    assert "the smallest detectable difference is 0.0500 (25.0 % of base) in the median run; 1 of 1 run not" in page
    wider = write_report(small(detectable=0.01), tmp_path / "b")[0].read_text(encoding="utf-8")
    assert "0.0100 (5.0 % of base) in the median run; 0 of 1 run not detectable" in wider


def test_the_page_in_short_lists_gains_without_a_detectable_loss(tmp_path: Path) -> None:
    plain, tag = "1 of 1 run have more", re.compile("<[^>]+>")
    minus = "\N{MINUS SIGN}"

    def short(ndcg_high: float, discovery_low: float) -> str:
        results = small()
        changes = results.differences.assign(
            ci_high=[ndcg_high, 0.05], ci_low=[-0.03, discovery_low], difference=[-0.01, 0.02]
        )
        page = write_report(replace(results, differences=changes), tmp_path)[0].read_text(encoding="utf-8")
        return tag.sub(" ", page[page.index('id="findings"') : page.index('id="tradeoffs"')])

    said = short(ndcg_high=0.01, discovery_low=0.01)
    assert plain in said
    assert "(by chance alone, fewer than 1 would), 1 of them without a detectable loss of ndcg@10." in said
    assert " base  0.4000  0.3000 to 0.5000  0.2000  0.1000 to 0.3000  the base: its values" in said
    row = f"other  {minus}5.0 %  {minus}7.5 to {minus}2.5 %  {minus}10.0 %  {minus}30.0 to +10.0 %  more discovery, "
    assert f"{row}no detectable loss" in said
    assert f"{row}at a loss" in short(ndcg_high=-0.001, discovery_low=0.01)
    assert "0 of them without a detectable loss" in short(ndcg_high=-0.001, discovery_low=0.01)
    assert "0 of 1 run have more" in short(ndcg_high=0.01, discovery_low=-0.01)


def add_metric(results: Results, metric: str, value: float, change: dict[str, float]) -> Results:
    """The same results with one more metric, a copy of discovery with another value and difference."""
    like = [
        table[table.metric == "discovery"].assign(metric=metric) for table in (results.summary, results.differences)
    ]
    like[0] = like[0].assign(value=value, ci_low=value - 0.01, ci_high=value + 0.01)
    summary, differences = (
        pd.concat([table, rows], ignore_index=True)
        for table, rows in zip((results.summary, results.differences), (like[0], like[1].assign(**change)), strict=True)
    )
    return replace(results, summary=summary, differences=differences)


def test_the_page_in_short_has_both_losses_and_the_thirds_beside_a_gain(tmp_path: Path) -> None:
    gain = {"difference": 0.02, "ci_low": 0.01, "ci_high": 0.03, "relative": 0.1, "relative_low": 0.05,
            "relative_high": 0.15}  # fmt: skip
    level = {"difference": -0.001, "ci_low": -0.01, "ci_high": 0.01, "relative": -0.01, "relative_low": -0.02,
             "relative_high": 0.02}  # fmt: skip
    loss = {name: -value for name, value in gain.items()} | {"ci_low": -0.03, "ci_high": -0.01}
    results = small()
    table = results.differences.set_index("metric")
    table.loc["ndcg", list(level)], table.loc["discovery", list(gain)] = list(level.values()), list(gain.values())
    results = replace(results, differences=table.reset_index())
    results = add_metric(results, "stratified_recall", 0.3, loss)
    for metric, change in (("discovery_head", gain), ("discovery_tail", loss)):
        results = add_metric(results, metric, 0.125, change)
    page = write_report(results, tmp_path)[0].read_text(encoding="utf-8")
    said = re.sub("<[^>]+>", " ", page[page.index('id="findings"') : page.index('id="tradeoffs"')])
    said = re.sub(" +", " ", said)
    mark = draw_charts(build_report_view(results))["tradeoff-discovery"]["datasets"]["runs"][1]
    assert {"ndcg@10", "stratified_recall@10", "discovery@10"} <= {*mark["tip"]}
    assert "0 of them without a detectable loss of ndcg@10 or stratified_recall@10." in said
    minus = "\N{MINUS SIGN}"
    assert f"{minus}1.0 % {minus}2.0 to +2.0 % {minus}10.0 % " in said  # ndcg, then stratified recall
    assert "more discovery, at a loss" in said
    assert "run head\N{DAGGER} 50 users tail\N{DAGGER} 50 users base 0.1250 0.1150 to 0.1350 0.1250" in said
    assert "other +10.0 % +5.0 to +15.0 %" in said


def test_counts_are_whole_or_said_as_means(few: Results, tmp_path: Path) -> None:
    means = few.summary.assign(hits=few.summary["hits"] / 3, held_out=few.summary["held_out"] * 4.1)
    page = write_report(replace(few, summary=means), tmp_path)[0].read_text(encoding="utf-8")
    text = re.sub("<[^>]+>", " ", page[: page.index('<script type="application/json"')])
    assert "212 users, 19 hits of als, 1,767 held out per map" in text
    counts = re.findall(r"([\d.,]+) (?:users|hits|runs?|positives)\b(?!.{0,20} per map)", text)
    assert counts and all(re.fullmatch(r"[\d,]+", count.strip(",.")) for count in counts)
    assert "by chance alone, about 0" not in text


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_no_two_series_share_a_mark(theme: dict[str, Any]) -> None:
    marks = [("base", 0), *((kind, i) for kind in ("model", "control", "blend") for i in range(40))]
    seen = {(choose_series_shape(kind, i), choose_series_colour(theme, kind, i)) for kind, i in marks}
    assert len(seen) == len(marks)


def test_every_length_is_shown(few: Results, written: list[Path]) -> None:
    page = written[0].read_text(encoding="utf-8")
    table = page[page.index('id="lengths"') :]
    table = table[: table.index("</table>")]
    for k in (5, 10, 20):
        assert f"ndcg@{k} " in table and f"discovery@{k}\N{DAGGER}" in table
    row = Elements("<tr" + table.split("<tr")[3]).texts
    changes = few.differences.set_index(["run", "metric", "k"])["relative"]
    shown = [f"{100 * changes[row[0], 'ndcg', k]:+.1f} %".replace("-", "\N{MINUS SIGN}") for k in (5, 10, 20)]
    assert [text for text in row if text.endswith(" %")][:3] == shown


def test_segments_and_users_are_shown(few: Results, tmp_path: Path) -> None:
    rows = [
        {"run": run, "against": "als", "metric": "ndcg", "k": 10, "segment": "activity", "part": part, "base": 0.2,
         "difference": change, "joint_low": -0.05, "joint_high": np.nan if change > 0 else 0.01, "relative": change / 0.2,
         "n_users": 50, "n_differ": 30, "worst": False}
        for run, change in (("ease", -0.02), ("noise-0.1", 0.03)) for part in ("lowest quarter", "highest quarter")
    ]  # fmt: skip
    example = Example(
        f"u{HOSTILE}", ("Alien", HOSTILE), 12, ("Brazil", "Heat"), "noise-0.1", ("Brazil", "Casino"), ("Heat", ""), (-0.25, None),
        frozenset(["Casino"]),
    )  # fmt: skip
    shown = replace(few, segments=pd.DataFrame(rows), examples=[example])
    page = write_report(shown, tmp_path)[0].read_text(encoding="utf-8")
    tags = re.compile("<[^>]+>")
    parts = {name: page[page.index(f'<section id="{name}"') :].split("</section>")[0] for name in ("parts", "users")}
    minus = "\N{MINUS SIGN}"
    assert f"{minus}10.0 % {minus}25.0 to +5.0" in " ".join(tags.sub(" ", parts["parts"]).split())
    assert "lowest 50 users" in " ".join(tags.sub(" ", parts["parts"]).split())
    text = " ".join(tags.sub(" ", parts["users"]).split())
    assert "and 10 more" in text and f"1 Brazil Brazil Heat {minus}0.2500 2 Heat Casino \N{CHECK MARK}" in text
    assert "<s>Heat</s>" in parts["users"] and "<b>Casino" in parts["users"] and "<img" not in parts["users"]


# Degenerate results


@pytest.mark.usefixtures("drawn_charts")
def test_metric_without_values(few: Results, tmp_path: Path) -> None:
    summary, against = few.summary.copy(), few.differences.copy()
    lost = summary["metric"] == "discovery"
    summary.loc[lost, ["value", "ci_low", "ci_high", "n_users", "hits", "held_out"]] = np.nan
    numbers = [c for c in against.columns if c not in {"run", "against", "metric", "k"}]
    against.loc[against["metric"] == "discovery", numbers] = np.nan
    paths = write_report(replace(few, summary=summary, differences=against), tmp_path)
    page = paths[0].read_text(encoding="utf-8")
    assert "tradeoff-discovery.svg" not in {path.name for path in paths}
    assert "Accuracy against discovery: discovery@10 not defined on this data." in page
    assert "discovery@10\N{DAGGER}</b> is not defined on this data." in page
    assert "nan" not in " ".join(rows_of(page)["ease"]).lower()
    assert "not defined on this data" in (tmp_path / "charts" / "family-discovery.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("runs", [["als"], ["als", "ease", "random"], ["als", "unexplored-0.1"]])
def test_few_runs(few: Results, tmp_path: Path, runs: list[str]) -> None:
    page = write_report(pick(few, run=runs), tmp_path)[0].read_text(encoding="utf-8")
    assert set(rows_of(page)) == set(runs)


def test_no_differences_prints_values(few: Results, tmp_path: Path) -> None:
    bare = replace(few, differences=few.differences.iloc[:0])
    page = write_report(bare, tmp_path)[0].read_text(encoding="utf-8")
    value = few.summary.query("run == 'ease' and metric == 'ndcg' and k == 10")["value"].item()
    assert rows_of(page)["ease"][1] == f"{value:.4f}"
    assert "no differences from als were computed" in page
    assert "is compared with no other run" in page


@pytest.mark.usefixtures("drawn_charts")
def test_some_values_missing(few: Results, tmp_path: Path) -> None:
    summary = few.summary.copy()
    summary.loc[summary["run"].isin(["ease", "als"]), ["ci_low", "ci_high", "seconds"]] = np.nan
    summary.loc[(summary["run"] == "noise-0.1") & (summary["metric"] == "ndcg"), "value"] = np.nan
    summary["convention"] = None
    paths = write_report(replace(few, summary=summary, facts={}), tmp_path)
    text = (tmp_path / "charts" / "tradeoff-discovery.svg").read_text(encoding="utf-8")
    assert "Without a value of both: noise-0.1." in text
    assert "<h1>recsys</h1>" in paths[0].read_text(encoding="utf-8")


def test_metrics_of_no_family_are_printed(few: Results) -> None:
    found = draw_charts(build_report_view(replace(few, families={"accuracy": ["ndcg"]})))
    assert {"ndcg", "discovery"} <= {*found["family-accuracy"]["datasets"], *found["family-other"]["datasets"]}


def test_other_accuracy_where_there_is_no_ndcg(few: Results) -> None:
    found = draw_charts(build_report_view(replace(pick(few, metric=["recall", "self_information"]), families={})))
    assert found["tradeoff-novelty"]["layer"][0]["encoding"]["x"]["axis"]["title"].startswith("recall@10")


# Refusals


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base": "alss"}, "report: unknown base run 'alss': did you mean 'als'"),
        ({"k": 7}, "report: the headline k is 7, expected one of [5, 10, 20]"),
        ({"summary": make_results().summary.drop(columns="ci_low")}, "report: summary has no column 'ci_low'"),
        ({"differences": make_results().differences.drop(columns="against")}, "differences has no column 'against'"),
        (
            {"summary": make_results().summary.assign(kind="blends")},
            "unknown kind of run 'blends': did you mean 'blend'",
        ),
    ],
)
def test_refusals_are_one_line_and_write_nothing(
    few: Results, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "report.html").write_text("earlier")
    with pytest.raises(RecsysError) as caught:
        write_report(replace(few, **change), tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "earlier"


def test_folder_that_cannot_be_written(few: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecsysError, match="cannot write"):
        write_report(pick(few, run=["als"]), tmp_path / "file")


# The page of a sweep


def make_search(text: str = "wider") -> SweepReport:
    """Three trials of one blend, one of which breaks a constraint, and one that failed."""
    trials = pd.DataFrame({
        "method": text, "trial": [0, 1, 2], "feasible": [True, True, False], "front": [True, False, False],
        "seconds": [1.0, 2.0, 3.0], "ndcg@10": [0.3, 0.29, 0.2], "discovery@10": [0.02, 0.02, 0.05], "base ndcg@10": 0.31,
        "base discovery@10": 0.015, "blends.wider.unexplored": [0.1, 0.05, 0.9],
    })  # fmt: skip
    front = trials[trials["front"]].assign(**{
        "test ndcg@10": 0.28, "test ndcg@10 ci_low": 0.27, "test ndcg@10 ci_high": 0.29, "test discovery@10": np.nan,
        "test discovery@10 ci_low": np.nan, "test discovery@10 ci_high": np.nan,
    })  # fmt: skip
    bought = pd.DataFrame([[text, 0, "ndcg@10", -0.01, -0.03, -0.02, -0.04, 0.01]], columns=[
        "method", "trial", "metric", "validation", "bound", "relative", "relative_low", "relative_high",
    ])  # fmt: skip
    matched = pd.DataFrame([[text, "discovery@10", 0.01, 0.2, 0.1, 0.3, 0.9, 4]], columns=[
        "method", "metric", "loss", "gain", "ci_low", "ci_high", "reached", "points",
    ])  # fmt: skip
    ahead = pd.DataFrame([[text, "mmr", "discovery@10", 0.01, 0.2, 0.1, np.nan]], columns=[
        "method", "rival", "metric", "loss", "difference", "ci_low", "ci_high",
    ])  # fmt: skip
    return SweepReport(
        f"recsys sweep: {text}", (f"{text}: trial 0 was chosen",), (("ndcg@10", True), ("discovery@10", True)), trials, front,
        bought, matched, ahead, pd.DataFrame({"method": text, "trial": [0, 1, 2], "hypervolume": [0.1, 0.2, 0.2]}),
        pd.DataFrame({"method": [text], "metric": ["ndcg@10"], "setting": ["blends.wider.unexplored"], "importance": [1.0]}),
        ("ndcg@10 >= 98 % of base",), pd.DataFrame({"method": [text], "trial": [3], "reason": [f"factors is {text}"]}),
    )  # fmt: skip


@pytest.mark.usefixtures("drawn_charts")
def test_the_page_of_a_sweep_says_what_became_of_its_trials(tmp_path: Path) -> None:
    paths = write_sweep_report(make_search(), tmp_path)
    page = paths[0].read_text(encoding="utf-8")
    page = page[: page.index('<script type="application/json"')]
    text = " ".join(re.sub("<[^>]+>", " ", page).split())
    assert [a["href"] for t, a in Elements(page).found if t == "a" and not str(a["href"]).startswith("#")] == [
        "judged/report.html"
    ]
    assert "to be kept: ndcg@10 &gt;= 98 % of base" in text
    assert "blend trials keep the constraints break one failed on the front wider 3 2 1 1 1" in text
    assert "wider 3 factors is wider" in text and "A cross breaks a constraint" in text
    minus = "\N{MINUS SIGN}"
    assert f"wider 0 ndcg@10 {minus}1.0 % {minus}3.0 % {minus}2.0 % {minus}4.0 to +1.0 %" in text
    heads = re.findall("<th[^>]*>([^<]*)</th>", page)
    assert {"change on test", "surely above, on validation", "ndcg@10 of the base", "95 % interval of ndcg@10"} <= {
        *heads
    }
    assert not [head for head in heads if "_" in head or head in ("method", "relative", "bound", "feasible")]
    svg = (tmp_path / "charts" / "front.svg").read_text(encoding="utf-8")
    assert "wider" in svg


def test_a_hostile_search_stays_text(tmp_path: Path) -> None:
    paths = write_sweep_report(make_search(HOSTILE + "\x1b"), tmp_path)
    page = Elements(paths[0].read_text(encoding="utf-8"))
    assert [t for t, _ in page.found].count("script") == 3 and not [t for t, _ in page.found if t == "img"]
    for path in paths[1:]:
        ElementTree.parse(path)


# Parts


def test_markup_is_escaped_unless_made_here() -> None:
    inner = make_element("b", "x & y")
    assert make_element("p", "<i>", inner, title='"', data_run="a<b", hidden=True, id=None) == (
        '<p title="&quot;" data-run="a&lt;b" hidden>&lt;i&gt;<b>x &amp; y</b></p>'
    )


values = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(st.tuples(values, st.floats(0, 10), st.booleans()), max_size=30), values)
def test_axis_holds_what_it_must(marks: list[tuple[float, float, bool]], base: float) -> None:
    domain = choose_domain([PlottedValue(v, v - w, v + w, control) for v, w, control in marks], (base,))
    assert domain.low < domain.high and domain.side(base) == 0
    assert all(domain.low <= domain.clamp(v) <= domain.high for v, _, _ in marks)


def test_far_controls_do_not_stretch_the_axis() -> None:
    near = [PlottedValue(v, v - 0.01, v + 0.01) for v in (0.28, 0.29, 0.30, 0.31)]
    alone = choose_domain(near)
    assert choose_domain([*near, PlottedValue(0.01, 0.0, 0.02, control=True)]) == alone
    assert choose_domain([*near, PlottedValue(0.33, 0.32, 0.34, control=True)]).side(0.33) == 0


corners = st.tuples(st.floats(0, 800), st.floats(0, 400))


@given(st.lists(st.tuples(st.text("abcdefgh_", min_size=1, max_size=20), corners), min_size=1, max_size=25))
def test_names_cover_neither_names_nor_marks(named: list[tuple[str, tuple[float, float]]]) -> None:
    names, at = [name for name, _ in named], [here for _, here in named]
    places = place_labels(names, at, at, [], 800, 400)
    boxes = []
    for name, (x, y), spot in zip(names, at, places, strict=True):
        if spot is not None:
            length = CHARACTER_WIDTH * len(name)
            left = x + spot.dx - {"left": 0.0, "center": length / 2, "right": length}[spot.align]
            boxes.append((left, y + spot.dy - LABEL_HEIGHT / 2, left + length, y + spot.dy + LABEL_HEIGHT / 2))
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= 800 and bottom <= 400
        assert all(right <= x or left >= x or bottom <= y or top >= y for x, y in at)
        assert all(right <= b[0] or left >= b[2] or bottom <= b[1] or top >= b[3] for b in boxes[:i])


# Colours: WCAG 2.1 contrast; dichromats after Vienot, Brettel and Mollon 1999; distance in CIELAB.

PROTAN = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTAN = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def linear(colour: str) -> np.ndarray:  # type: ignore[type-arg]
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    t = np.array(XYZ) @ rgb / np.array([0.95047, 1.0, 1.08883])
    f = np.where(t > 216 / 24389, np.cbrt(np.maximum(t, 0)), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_marks_stand_out_from_the_ground(theme: dict[str, Any]) -> None:
    def luminance(colour: str) -> float:
        return float(np.array(XYZ)[1] @ linear(colour))

    for ink in (*theme["series"], theme["ink"], theme["soft"], theme["model"], theme["control"]):
        a, b = sorted((luminance(ink), luminance(theme["ground"])), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= (4.5 if ink in (theme["ink"], theme["soft"]) else 3.0), ink


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("sight", [np.eye(3), PROTAN, DEUTAN])
def test_series_of_one_shape_differ_for_colour_blind_readers(theme: dict[str, Any], sight: Any) -> None:
    seen: dict[str, list[np.ndarray]] = {}  # type: ignore[type-arg]
    for i, ink in enumerate(theme["series"]):
        seen.setdefault(choose_series_shape("blend", i), []).append(lab(np.array(sight) @ linear(ink)))
    assert len(seen) == 5
    for first, second in seen.values():
        assert np.linalg.norm(first - second) >= 20


def drawn(page: Path, width: int, folder: Path) -> str:
    """Return the page as a browser has it after its scripts."""
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--virtual-time-budget=20000", f"--window-size={width},900", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=True).stdout


MEASURE = """<script>setTimeout(() => {
  const cells = [...document.querySelectorAll("main td, main th")].filter((cell) => cell.clientWidth);
  const thin = cells.filter((cell) => cell.clientHeight > 3 * cell.clientWidth).map((cell) => cell.textContent);
  const page = document.documentElement;
  const found = {width: page.clientWidth, wide: page.scrollWidth, height: page.scrollHeight, thin};
  for (const fold of document.querySelectorAll(".fold")) fold.open = true;
  setTimeout(() => {
    found.charts = document.querySelectorAll("[data-chart] svg").length;
    parent.postMessage(JSON.stringify(found), "*");
  }, 8000);
}, 8000)</script>"""
FRAME = """<!DOCTYPE html><title></title><script>onmessage = (event) => { document.title = event.data }</script>
<iframe width="360" height="800" style="border: 0" src="page.html"></iframe>"""  # a window is never as narrow


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser")
def test_a_telephone_has_a_short_page(written: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    before, after = written[0].read_text(encoding="utf-8").rsplit("</body>", 1)
    page.write_text(f"{before}{MEASURE}</body>{after}", encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME, encoding="utf-8")
    text = drawn(tmp_path / "frame.html", 800, tmp_path)
    found = json.loads(html.unescape(text[text.index("<title>") + 7 : text.index("</title>")]))
    assert found["wide"] == found["width"] <= 360  # nothing but tables is scrolled sideways, each in its box
    assert found["height"] < 8000 and found["thin"] == []
    assert found["charts"] == len(written) - 1  # those of opened folds are drawn


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser")
def test_browser_draws_every_chart(written: list[Path], tmp_path: Path) -> None:
    page = drawn(written[0], 1280, tmp_path)
    body = page[page.index("<main>") : page.index("</main>")]
    assert body.count('<svg xmlns="http://www.w3.org/2000/svg"') == len(written) - 1
