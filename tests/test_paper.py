"""The texts say what the results say: a false claim, an unknown name and a loose number each end the build."""

import doctest
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "paper"))

import checks  # noqa: E402
import lookups  # noqa: E402
from lookups import MINUS, SPACE  # noqa: E402

MADE_UP = pd.DataFrame(
    [
        ("small", "mmr", 0.25, -0.10, 0.60, True),
        ("small", "dpp", 0.05, -0.20, 0.30, False),
        ("large", "mmr", -0.034, -0.06, -0.01, False),
        ("large", "dpp", 0.50, 0.40, 0.60, True),
    ],
    columns=["log", "method", "gain", "low", "high", "chosen"],
)
GAIN = ["gain", "low", "high"]


def look_up(**wanted: object) -> lookups.Number | str:
    return lookups.look_up(MADE_UP, {name.rstrip("_"): value for name, value in wanted.items()})


def write_tree(root: Path, text: str = "", page: str = "", table: pd.DataFrame = MADE_UP, **more: str) -> Path:
    """Write a paper of one text, one page and the made-up results."""
    for folder in ("paper", "docs", "benchmarks/results"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    table.to_csv(root / "benchmarks" / "results" / "made-up.csv", index=False)
    (root / "paper" / "paper.typ").write_text(text, encoding="utf-8")
    (root / "docs" / "discovery.md").write_text(page, encoding="utf-8")
    (root / "docs" / "control.md").write_text("", encoding="utf-8")
    told = """
        [numbers.made-up]
        dpp = { rows = "log == 'large' and method == 'dpp'", value = ["gain", "low", "high"], as = "+.0%" }
        logs = { value = "log", take = "unique" }
        [claims]
        dpp_gains = "above(dpp)"
    """
    (root / "paper" / "lookups.toml").write_text(re.sub("^ +", "", told, flags=re.MULTILINE), encoding="utf-8")
    return root


def find_problems(root: Path) -> list[str]:
    return checks.find_all_problems(lookups.read_facts(root), root)


TEXT = 'On #n("logs") logs #holds("dpp_gains")[DPP is ahead by #n("dpp")].\n'


def test_the_examples_of_how_numbers_are_written() -> None:
    assert doctest.testmod(lookups).attempted == 1 and doctest.testmod(lookups).failed == 0


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"rows": "log == 'large' and method == 'dpp'", "value": GAIN, "as_": "+.0%"}, "+50_% [+40_%, +60_%]"),
        ({"rows": "log == 'large' and method == 'mmr'", "value": "100 * gain", "as_": "+.1f"}, "~3.4"),
        ({"rows": "low > 0", "value": "method"}, "dpp"),
        ({"rows": "log == 'nowhere'", "value": "log", "take": "count"}, "0"),
        ({"value": "log", "take": "unique"}, "2"),
        ({"value": "low > 0", "take": "sum"}, "1"),
        ({"value": "gain", "take": "max", "as_": ".0%"}, "50_%"),
        ({"mean_by": ["method"], "rows": "method == 'dpp'", "value": "gain", "as_": ".3f"}, "0.275"),
        ({"largest": "gain", "within": ["log"], "value": "method == 'mmr'", "take": "sum"}, "1"),
        ({"largest": "gain", "value": "log"}, "large"),
        ({"rows": "chosen and log == 'small'", "value": "method"}, "mmr"),
    ],
)
def test_a_lookup_is_the_value_of_rows(wanted: dict[str, object], text: str) -> None:
    found = look_up(**wanted)
    assert getattr(found, "text", found) == text.replace("~", MINUS).replace("_", SPACE)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"value": "gain"}, "4 rows where one is needed"),
        ({"rows": "log == 'nowhere'", "value": "gain", "take": "mean"}, "0 rows where some are needed"),
        ({"rows": "log == 'nowhere'", "largest": "gain", "value": "gain"}, "0 rows where one is needed"),
        ({"value": "gian", "take": "mean"}, "name 'gian' is not defined"),
        ({"value": "gain", "take": "meen"}, '"meen" is none of only, count'),
        ({"value": "gain", "row": "log == 'small'"}, '"row" is none of rows, mean_by'),
        ({"rows": "log == 'small' and method == 'mmr'", "value": "gain / 0 - gain / 0"}, "the value is missing"),
    ],
)
def test_what_the_results_do_not_have_is_told_in_one_line(wanted: dict[str, object], problem: str) -> None:
    facts = lookups.Facts()
    with lookups.keep_problem(facts, "x"):
        look_up(**wanted)
    assert problem in facts.problems["x"] and "\n" not in facts.problems["x"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("above(large_dpp)", True),
        ("above(small_dpp)", False),
        ("below(large_mmr)", True),
        ("below(large_dpp)", False),
        ("level(small_mmr)", True),
        ("level(large_mmr)", False),
        ("large_dpp > 2 * small_mmr - 0.1 and not above(small_mmr)", True),
        ("large_dpp < small_mmr", False),
        ("above(unknown)", False),
        ("above(large_dpp", False),
    ],
)
def test_a_claim_is_a_condition_over_numbers(condition: str, holds: bool) -> None:
    facts = lookups.Facts()
    for row in MADE_UP.itertuples():
        wanted = {"rows": f"log == '{row.log}' and method == '{row.method}'", "value": GAIN, "as_": "+.0%"}
        facts.numbers[f"{row.log}_{row.method}"] = look_up(**wanted)
    with lookups.keep_problem(facts, "claim"):
        facts.claims["claim"] = lookups.check_claim(condition, facts)
    assert list(facts.claims) == ["claim"] * holds and list(facts.problems) == ["claim"] * (not holds)


def test_an_interval_that_is_not_there_lies_on_no_side() -> None:
    number = look_up(value="gain", take="mean")
    assert not (lookups.above(number) or lookups.below(number) or lookups.level(number))


def test_a_table_has_the_names_that_readers_know() -> None:
    wanted = {"rows": "method == 'mmr'", "columns": {"data": "{log}", "gain": "{gain:+.0%}"}}
    table = lookups.make_table(MADE_UP, wanted, {"small": "Small ML-1M"})
    assert table == [["data", "gain"], ["Small ML-1M", f"+25{SPACE}%"], ["large", f"{MINUS}3{SPACE}%"]]


def test_a_cell_without_a_value_or_an_interval_says_so() -> None:
    table = MADE_UP[:2].assign(gain=[0.25, float("nan")], low=float("nan"))
    wanted = {"columns": {"gain": "{gain:.2f} [{low:.2f}, {low:.2f}]", "alone": "{gain:+.0%}"}}
    assert lookups.make_table(table, wanted, {})[1:] == [["0.25", f"+25{SPACE}%"], [lookups.DASH] * 2]


def test_a_name_may_stand_in_a_toml_file_or_in_a_module() -> None:
    audit = lookups.read_source("configs/audit.toml", ROOT)
    assert lookups.look_up(audit, {"value": "len(kmeans['regions']) * len(kmeans['dimensions'])"}) == 9
    judges = lookups.read_source("recsys.scores.judges", ROOT)
    assert lookups.look_up(judges, {"value": "MIN_JUDGE_USERS"}).text == "3,000"
    with pytest.raises(lookups.MissingResultError, match=r"there is no benchmarks/results/nothing\.csv"):
        lookups.read_source("nothing", ROOT)


def test_a_text_that_says_what_the_results_say_passes(tmp_path: Path) -> None:
    page = "On {{ logs }} logs [DPP is ahead by {{ dpp }}]{holds=dpp_gains}, see [Sweeps](sweeps.md#2) and `ml-100k`."
    assert find_problems(write_tree(tmp_path, TEXT, page)) == []
    facts = lookups.read_facts(tmp_path)
    filled = (
        f"On 2 logs DPP is ahead by +50{SPACE}% [+40{SPACE}%, +60{SPACE}%], see [Sweeps](sweeps.md#2) and `ml-100k`."
    )
    assert checks.fill_page(page, facts) == filled


def test_a_claim_that_holds_no_longer_is_told_with_its_sentence(tmp_path: Path) -> None:
    worse = MADE_UP.assign(low=MADE_UP.low.where(MADE_UP.low < 0.4, -0.02))
    (problem,) = find_problems(write_tree(tmp_path, "A line.\n" + TEXT, table=worse))
    assert problem.startswith(
        'paper.typ, line 2: "DPP is ahead by #n("dpp")" (dpp_gains): it does not hold: above(dpp)'
    )
    assert f"[{MINUS}2{SPACE}%, " in problem


def test_rows_that_are_not_there_are_told(tmp_path: Path) -> None:
    problems = find_problems(write_tree(tmp_path, TEXT, table=MADE_UP[MADE_UP.log == "small"]))
    assert len(problems) == 2 and "0 rows where one is needed" in problems[0]
    assert 'line 1: "DPP is ahead by' in problems[1] and "'dpp' is not defined" in problems[1]


def test_a_name_that_no_text_uses_is_told(tmp_path: Path) -> None:
    text = TEXT.replace('#n("logs")', "some")
    assert find_problems(write_tree(tmp_path, text)) == ["lookups.toml: logs: no text uses it"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('It gains #n("dppp").', 'no number is called "dppp"; the nearest is "dpp"'),
        ('#holds("dpp_gain")[DPP gains].', 'no claim is called "dpp_gain"; the nearest is "dpp_gains"'),
        ('#holds("dpp_gains")[DPP gains [_much_]].', "a claim is a name and a text without brackets"),
        ('#holds("dpp_gains")[DPP gains 5 %].', '"5" is a number'),
        ("It gains 45 % here.", '"45" is a number'),
        ("It gains $45 %$ here.", "is a number"),
        ("A share of $0.1$.", '"$0.1$." is a number'),
        ("nDCG\\@10", "is a number"),
        ("It gains twice as much.", '"twice" is a number or a verdict'),
        ("About half of it.", '"half of" is a number or a verdict'),
        ("It outperforms MMR.", '"outperforms" is a number or a verdict'),
        ("It is ahead of MMR.", '"ahead" is a number or a verdict'),
        ("Both are level.", '"level" is a number or a verdict'),
    ],
)
def test_a_number_or_a_verdict_that_is_written_down_is_told(text: str, problem: str, tmp_path: Path) -> None:
    problems = find_problems(write_tree(tmp_path, TEXT + text))
    assert problems and all(one.startswith("paper.typ, line 2: ") and problem in one for one in problems)


@pytest.mark.parametrize(
    "text",
    [
        "It is cited @steck2018calibrated, see @fig:one. // 5 %",
        "With $tau in [0, 1]$ it is $1 - 1 \\/ e$ of MovieLens 100K <eq2>.",
        "Made from one half of the\nusers.",
        '#holds("dpp_gains")[DPP is better in half of them].',
    ],
)
def test_markup_formulas_and_names_of_data_may_hold_digits(text: str, tmp_path: Path) -> None:
    assert find_problems(write_tree(tmp_path, TEXT + text)) == []


def test_a_page_of_the_documentation_is_checked_too(tmp_path: Path) -> None:
    page = "{{ dppp }} gains `+7 %` [and more]{holds=dppp} and\nis ahead."
    problems = find_problems(write_tree(tmp_path, TEXT, page))
    assert [problem.partition(": ")[0] for problem in problems] == ["discovery.md, line 1"] * 3 + [
        "discovery.md, line 2"
    ]


def test_the_texts_say_what_the_results_say() -> None:
    assert find_problems(ROOT) == []


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
    assert re.findall(r"[+-]?[\d.]+ %", text) == ["95 %"] * 3  # of intervals


@pytest.mark.slow
def test_the_paper_is_built_or_the_build_ends(tmp_path: Path) -> None:
    pytest.importorskip("typst")
    import make

    for folder in ("paper", "docs/_static", "benchmarks/results", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("build", "*.pdf"))
    pages = [ROOT / page for page in checks.PAGES if page.startswith("docs/")]
    for file in (*pages, *(ROOT / "benchmarks").glob("*.toml")):
        shutil.copy(file, tmp_path / file.relative_to(ROOT))
    make.main(tmp_path)
    assert (tmp_path / "paper" / "paper.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "paper" / "paper.pdf").unlink()
    with (tmp_path / "paper" / "paper.typ").open("a", encoding="utf-8") as file:
        file.write("\nIt gains 5 %.\n")
    with pytest.raises(SystemExit, match='"5" is a number that is not from the results'):
        make.main(tmp_path)
    assert not (tmp_path / "paper" / "paper.pdf").exists()
