"""The paper says what the results say: its numbers, its verdicts, and that what is missing is said to be missing."""

import doctest
import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "paper"))

import checks  # noqa: E402
import facts  # noqa: E402
import formatting  # noqa: E402
import judges  # noqa: E402
import load_results  # noqa: E402
import other_runs  # noqa: E402
import sentences  # noqa: E402

RUN = "ml-1m-likes"


def row(method: str, role: str, gain: float, behind: tuple[float, float, float], **more: object) -> dict[str, object]:
    """Return a row of discovery.csv, with an interval of a tenth to both sides."""
    return {
        "run": RUN, "role": role, "method": method, "metric": "discovery@10", "gain": gain, "ci_low": gain - 0.1,
        "ci_high": gain + 0.1, "reached": 1.0, "points": 3, "gain_on_validation": gain, "fixed_loss": 0.01,
        "fixed_loss_low": 0.0, "fixed_loss_high": 0.02, "fixed_gain": gain, "fixed_gain_low": gain - 0.1,
        "fixed_gain_high": gain + 0.1, "behind": behind[0], "behind_low": behind[1], "behind_high": behind[2], **more,
    }  # fmt: skip


def results(tmp_path: Path, rows: list[dict[str, object]]) -> load_results.Results:
    """Return results with these rows of the headline, at both losses, and nothing else."""
    pd.concat(pd.DataFrame(rows).assign(loss=loss) for loss in (0.01, 0.02)).to_csv(tmp_path / "discovery.csv")
    about = dict.fromkeys(load_results.COLUMNS["discovery-data"].split(), 1) | {"run": RUN, "base": "als+ease"}
    pd.DataFrame([about]).to_csv(tmp_path / "discovery-data.csv")
    return load_results.read_result_tables(tmp_path)


NOWHERE = (float("nan"),) * 3


def problems(text: str, kind: str = ".typ") -> list[str]:
    return list(checks.find_problems(text, kind, {"claim", "k"}))


def test_the_examples_of_how_numbers_are_written() -> None:
    assert doctest.testmod(formatting).attempted > 0 and doctest.testmod(formatting).failed == 0


@pytest.mark.parametrize(
    "text",
    [
        'It gains #n("claim") at nDCG\\@#n("k") @steck2018calibrated, see @fig:one. // 5 %',
        "With $tau in [0, 1]$ it is $1 - 1 \\/ e$ of MovieLens 100K <eq2>.",
        "Made from one half of the\nusers.",
    ],
)
def test_a_text_without_numbers_of_its_own_passes(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('It gains #n("clam").', '"clam"'),
        ("It gains 45 % here.", '"45"'),
        ("It gains $45 %$ here.", "45"),
        ("A share of $0.1$.", "0.1"),
        ("nDCG\\@10", "10"),
        ("It gains twice as much.", '"twice"'),
        ("About half of it.", '"half"'),
        ("It outperforms MMR.", '"outperforms"'),
        ("It is ahead of MMR.", '"ahead of"'),
    ],
)
def test_a_number_or_a_verdict_that_is_written_down_is_refused(text: str, what: str) -> None:
    assert any(what in problem for problem in problems("A line.\n" + text))


def test_a_page_is_checked_too() -> None:
    assert problems("{{ claim }} see [Sweeps](sweeps.md#2) and `ml-100k`", ".md") == []
    assert len(problems("{{ clam }} gains 5 % and `+7 %`", ".md")) == 3


def test_the_texts_hold_nothing_that_the_results_do_not_say() -> None:
    told = facts.collect_facts()
    known = {name for name, fact in told.items() if isinstance(fact, str)}
    used = set()
    for page in checks.PAGES:
        text = page.read_text(encoding="utf-8")
        assert list(checks.find_problems(text, page.suffix, known)) == []
        used |= set(checks.find_result_names(text, page.suffix))
    assert known - used == set()  # nothing is computed for nobody


def test_a_verdict_is_that_of_the_limits(tmp_path: Path) -> None:
    rows = [row("unexplored", "ours", 0.5, NOWHERE), row("mmr", "other", 0.2, (0.3, 0.1, 0.5))]
    told = results(tmp_path, [*rows, row("noise", "control", 0.05, (0.45, -0.1, 0.9))])
    assert "“unexplored”, the method that gains most on validation" in sentences.describe_claim(told, RUN, 0.02)
    assert "+50\xa0% [+40\xa0%, +60\xa0%]." in sentences.describe_claim(told, RUN, 0.02)
    assert "is ahead of every other method" in sentences.describe_rivals(told, RUN, 0.02, "other")
    assert "cannot be told apart from any control" in sentences.describe_rivals(told, RUN, 0.02, "control")
    assert "[\N{MINUS SIGN}5.0\xa0%, +15\xa0%], not told from zero" in sentences.describe_controls(told, RUN, 0.02)


def test_the_same_gain_within_wider_limits_is_no_lead(tmp_path: Path) -> None:
    rows = [row("unexplored", "ours", 0.5, NOWHERE), row("mmr", "other", 0.2, (0.3, -0.1, 0.7))]
    told = sentences.describe_rivals(results(tmp_path, rows), RUN, 0.02, "other")
    assert "ahead" not in told and "cannot be told apart from any other method" in told


def test_another_method_that_gains_more_is_said_to(tmp_path: Path) -> None:
    rows = [row("unexplored", "ours", 0.2, (0.3, 0.1, 0.5)), row("mmr", "other", 0.5, NOWHERE)]
    told = results(tmp_path, [*rows, row("dpp", "other", 0.1, (0.4, 0.2, 0.6))])
    assert "“MMR”, none of ours" in sentences.describe_claim(
        told, RUN, 0.02
    ) and "so it is ahead" in sentences.describe_claim(told, RUN, 0.02)
    assert sentences.describe_rivals(told, RUN, 0.02, "other").startswith("“MMR” is ahead")
    few = results(tmp_path, [row("unexplored", "ours", 0.2, NOWHERE, ci_low=None, ci_high=None), rows[1]])
    assert "too few users differ" in sentences.describe_claim(few, RUN, 0.02)


def test_splits_that_say_other_things_are_said_to(tmp_path: Path) -> None:
    one, other = (row("unexplored", "ours", gain, NOWHERE) for gain in (0.9, 0.4))
    both = [one, other | {"run": f"{RUN}, second split"}]
    told = results(tmp_path, both)
    assert "has been run: what another split changes is not known" in other_runs.describe_other_splits(told, 0.02)
    told.tables["discovery-data"] = pd.concat([told.tables["discovery-data"]] * 2).assign(
        run=[each["run"] for each in both]
    )
    assert "+65\xa0% on average; 1 of 1 pairs of intervals do not overlap" in other_runs.describe_other_splits(
        told, 0.02
    )


def test_another_judge_may_prefer_another_method(tmp_path: Path) -> None:
    told = results(tmp_path, [row("unexplored", "ours", 0.9, NOWHERE), row("mmr", "other", 0.2, (0.7, 0.5, 0.9))])
    assert "have not been asked" in judges.describe_judges(told, RUN, 0.02)
    asked = [
        {"run": RUN, "judge": judge, "method": name, "loss": 0.01, "gain": gain, "gain_low": gain - 0.1, "gain_high": gain + 0.1}
        for judge, gains in {"the audit family": (0.9, 0.2), "likes of ml-100k": (0.05, 0.3)}.items()
        for name, gain in zip(("unexplored", "mmr"), gains, strict=True)
    ]  # fmt: skip
    told.tables["discovery-judges"] = pd.DataFrame(asked)
    said = judges.describe_judges(told, RUN, 0.02)
    assert "the audit family +90\xa0% [+80\xa0%, +100\xa0%] (MMR: +20\xa0% [+10\xa0%, +30\xa0%])" in said
    assert "Its interval holds zero by “likes of MovieLens 100K”." in said
    assert "Another method gains as much or more by “likes of MovieLens 100K”." in said
    assert "+5.0\xa0%" in judges.summarize_other_logs(
        told, RUN, 0.02
    ) and "MMR +30\xa0%" in judges.summarize_other_logs(told, RUN, 0.02)


def test_splits_together_are_told_with_their_limits(tmp_path: Path) -> None:
    told = results(tmp_path, [row("unexplored", "ours", 0.9, NOWHERE), row("mmr", "other", 0.2, (0.7, 0.5, 0.9))])
    assert "have not been put together" in judges.describe_pooled_splits(told, RUN, 0.02)
    changes = {"ndcg@10": (-0.01, -0.02), "discovery@10": (0.6, 0.2), "discovery_content@10": (0.02, -0.3)}
    told.tables["discovery-splits"] = pd.DataFrame(
        {"run": RUN, "splits": 2, "method": name, "metric": metric, "change": change, "change_low": change - 0.05,
         "change_high": change + 0.05, "split_1": change - 0.1, "split_2": change + 0.1}
        for metric, both in changes.items() for name, change in zip(("unexplored", "mmr"), both, strict=True)
    )  # fmt: skip
    said = judges.describe_pooled_splits(told, RUN, 0.02)
    assert "+60\xa0% [+55\xa0%, +65\xa0%]" in said and "of the others “MMR”" in said
    assert "[\N{MINUS SIGN}35\xa0%, \N{MINUS SIGN}25\xa0%], a loss" in said
    assert said.endswith("changes by +50\xa0% and +70\xa0%.")


def test_the_picture_is_explained_by_the_numbers_behind_it() -> None:
    """Each signed percentage of the paragraph is one of the run that its clause is about."""
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    (told,) = [" ".join(part.split()) for part in page.split("\n\n") if part.startswith("On MovieLens 100K")]
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "ml-100k.csv").set_index(["run", "metric"])
    runs = {
        "the bonus for unexplored regions": [f"unexplored-{weight}" for weight in (0.1, 0.2, 0.4)],
        "A bonus for popularity": [f"popularity-{weight}" for weight in (0.1, 0.2, 0.4)],
        "the most popular items alone": ["most_popular"],
        "The negative-space blend": [f"negative_space-{weight}" for weight in (0.1, 0.2, 0.4)],
    }
    ends = [*(told.index(name) for name in runs), len(told)]
    for number, (name, of_run) in enumerate(runs.items()):
        part = told[ends[number] : ends[number + 1]]
        expected = {
            f"{100 * value:+.0f} %" if metric == "discovery" else f"{100 * value:+.1f} %"
            for run in of_run
            for metric in ("discovery", "ndcg")
            for value in table.loc[(run, metric), ["relative", "relative_low", "relative_high"]].dropna()
        } | {f"{100 * table.loc[(run, 'ndcg'), 'relative']:+.0f} %" for run in of_run}
        numbers = re.findall(r"[+-][\d.]+ %", part)
        assert len(numbers) >= 2 and set(numbers) <= expected, name
    assert f"rests on {table.loc[('als', 'discovery'), 'hits']:.0f} hits on each map" in page


def test_the_readme_states_no_result_outside_of_its_printed_table() -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"[+-]?[\d.]+ %", text) == ["95 %", "95 %", "95 %", "2 %"]  # intervals, and a question


def test_what_has_not_been_run_is_said_to(tmp_path: Path) -> None:
    told = facts.collect_facts(load_results.read_result_tables(tmp_path))
    assert set(told) == set(facts.collect_facts())
    assert "has not been run" in told["claim_high"] and "has not been run" in told["content"]
    assert "of which none have been made" in told["elsewhere"] and "Not run:" in told["elsewhere"]
    assert {line[1] for line in told["tables"]["runs"][1:]} == {"not run"}


def test_results_that_lack_a_column_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"run": ["a"]}).to_csv(tmp_path / "discovery.csv")
    with pytest.raises(SystemExit, match=r"discovery\.csv lacks"):
        load_results.read_result_tables(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False], ids=["results", "no results"])
def test_the_paper_is_built(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("typst")
    import figures
    import make

    shutil.copytree(ROOT / "paper", tmp_path / "paper", ignore=shutil.ignore_patterns("build", "*.pdf"))
    for module in (checks, facts, figures, make):
        for name in ("HERE", "BUILD"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, tmp_path / "paper" / ("build" if name == "BUILD" else ""))
    if not there:
        empty = load_results.read_result_tables(tmp_path)
        monkeypatch.setattr(figures, "read_result_tables", lambda: empty)
        monkeypatch.setattr(facts, "read_result_tables", lambda: empty)
    make.main()
    assert (tmp_path / "paper" / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((tmp_path / "paper" / "build" / "numbers.json").read_text(encoding="utf-8"))["k"] == "10"
