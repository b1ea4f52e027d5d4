"""The documentation is run: Python blocks, configs, commands."""

import ast
import dataclasses
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pages import conf, notebooks
from scipy import sparse

import recsys
from recsys import configs, data, metrics, models, objectives, testing, types
from recsys.cli import cli
from recsys.control.topics import read_topic_policy
from recsys.simulation.plans import read_simulation
from recsys.sweeps import plans, simulation_plans
from recsys.types import Dataset, Interactions, Items, Split

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of `language` in `page`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def having(language: str) -> list[Path]:
    """Return the pages with at least one block of `language`."""
    return [page for page in PAGES if blocks(page, language)]


def synthetic(name: str) -> Dataset:
    """Return a log of 300 users with two of eight tastes each, and 400 items in eight genres."""
    random = np.random.default_rng(0)
    genre = np.arange(400) % 8
    near = (genre == np.arange(300)[:, None] % 8) | (genre == np.arange(300)[:, None] // 8 % 8)
    user, item = np.nonzero(random.random((300, 400)) < np.where(near, 0.25, 0.05))
    user_ids, item_ids = np.arange(300).astype(str), np.arange(400).astype(str)
    log = Interactions(
        user.astype(np.int32), item.astype(np.int32), random.integers(3, 6, len(user)).astype(np.float32),
        random.integers(0, 10**6, len(user)), user_ids, item_ids,
    )  # fmt: skip
    features = sparse.csr_array(np.eye(8, dtype=np.float32)[genre])
    items = Items(item_ids, item_ids, features, tuple("abcdefgh"), np.zeros(400, np.int32))
    return Dataset(name, log, items, fingerprint="synthetic")


def write_files(page: Path, folder: Path) -> None:
    """Write the blocks of a page that begin with the name of a file, such as `# shop.toml`; several make one file."""
    for block in [*blocks(page, "python"), *blocks(page, "toml")]:
        named = re.match(r"# (\w+\.(?:py|toml))\n", block)
        if named:
            with (folder / named[1]).open("a", encoding="utf-8") as file:
                file.write(block.removeprefix(named[0]))


@pytest.fixture
def forget_modules(tmp_path: Path) -> Iterator[None]:
    """Forget the modules that were imported from the page's folder."""
    yield
    for name, module in list(sys.modules.items()):
        if tmp_path in Path(getattr(module, "__file__", None) or "/").parents:
            del sys.modules[name]


def write_candidates(path: Path, split: Split) -> None:
    """Write 50 candidates of every user of `split`."""
    random = np.random.default_rng(1)
    rows = ["user_id,item_id,score"]
    for user in split.user_ids:
        rows += [f"{user},{item},{random.random():.4f}" for item in random.choice(split.item_ids, 50, replace=False)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def load_dataset(name: object, *places: object, **settings: object) -> Dataset:
    """Return synthetic data for a card of the package, and what is there for a card or reader of one's own."""
    if name in data.list_datasets():
        return synthetic(str(name))
    return data.load_dataset(name, *places, **settings)


@pytest.mark.usefixtures("forget_modules")
@pytest.mark.parametrize("page", having("python"), ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "load_dataset", load_dataset)
    write_files(page, tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python")):
        if "candidates.csv" in block:
            write_candidates(tmp_path / "candidates.csv", names["split"])
        exec(compile(block, f"{page.name}, python block {number}", "exec"), names)


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_snippets_of_engines_run(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(engine)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "load_dataset", load_dataset)
    page, names = ROOT / "docs" / "batch.md", {"__name__": "__main__"}
    (snippet,) = [block for block in blocks(page, "py") if f"import {engine}" in block]
    for block in [*blocks(page, "python"), snippet]:
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.usefixtures("forget_modules")
@pytest.mark.parametrize("page", having("toml"), ids=lambda page: page.stem)
def test_toml_blocks_are_configs(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    for block in blocks(page, "toml"):
        if "sources" in tomllib.loads(block):
            testing.check_card(tmp_path / block.partition("\n")[0].removeprefix("# "))
            continue
        (tmp_path / "my.toml").write_text(block, encoding="utf-8")
        if "limits" in tomllib.loads(block):
            assert dict(data.read_policy(tmp_path / "my.toml").limits.list_given())
            continue
        if "topics" in tomllib.loads(block):
            assert read_topic_policy(tmp_path / "my.toml").topics
            continue
        if "world" in tomllib.loads(block):
            assert read_simulation(tmp_path / "my.toml").policies
            continue
        if "simulation" in tomllib.loads(block):
            assert simulation_plans.read_simulation_sweep(tmp_path / "my.toml").methods
            continue
        if "extends" in tomllib.loads(block):
            assert plans.read_sweep(tmp_path / "my.toml").methods
            continue
        assert set(tomllib.loads(block)) <= set(configs.read_config(tmp_path / "my.toml").dump_settings())


def split_numbers(text: str) -> tuple[str, list[float]]:
    """Return `text` with a mark in the place of each number, blanks as one, and the numbers."""
    number = r"(?<![\w@.])[+-]?\d+\.\d+"
    return " ".join(re.sub(number, "#", text).split()), [float(found) for found in re.findall(number, text)]


@pytest.fixture
def movielens() -> None:
    """Skip where MovieLens 100K is neither kept nor to be fetched."""
    try:
        recsys.load_dataset("ml-100k")
    except recsys.RecsysError as error:
        pytest.skip(f"MovieLens 100K cannot be had: {error}")


def test_the_readme_shows_the_table_that_its_first_lines_print(
    movielens: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """On MovieLens 100K itself; last digits may differ, because sums are rounded as each processor adds them."""
    page = ROOT / "README.md"
    capsys.readouterr()
    exec(compile(blocks(page, "python")[0], "README.md", "exec"), {})
    (shown, wanted), (printed, found) = (split_numbers(s) for s in (blocks(page, "text")[0], capsys.readouterr().out))
    assert shown == printed
    assert found == pytest.approx(wanted, rel=0.05, abs=0.001)


def test_the_first_screen_of_the_readme_is_short() -> None:
    before_code = (ROOT / "README.md").read_text(encoding="utf-8").partition("```python\n")[0]
    assert len(before_code.split()) <= 150
    assert set(re.findall(r"\d[\d.,]*", before_code)) == {"95", "3.11"}  # the level of intervals, and of Python


def test_the_readme_cites_as_the_command_and_the_file_do() -> None:
    printed = CliRunner().invoke(cli, ["cite"]).output
    assert blocks(ROOT / "README.md", "bibtex") == [printed]
    said = dict(re.findall(r"^  (\w+) = \{(.*)\},$", printed, re.MULTILINE))
    file = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    preferred = file["preferred-citation"]
    assert said == {
        "author": f"{{{preferred['authors'][0]['name']}}}",
        "title": preferred["title"],
        "year": str(preferred["year"]),
        "note": preferred["notes"],
    }
    assert f"title: [{preferred['title']}]" in (ROOT / "paper" / "paper.typ").read_text(encoding="utf-8")
    assert file["authors"] == preferred["authors"] == [{"name": conf.author}]
    assert file["version"] == recsys.__version__ and preferred["notes"].endswith(f", version {recsys.__version__}")


def test_the_two_commands() -> None:
    assert blocks(ROOT / "README.md", "sh") == [
        'pip install -e ".[bench]" && recsys bench\n',
        'pip install -e ".[test]" && pytest\n',
    ]


def leaves(group: click.Command, *above: str) -> dict[str, click.Command]:
    """Return the commands below `group`, by their words."""
    if not isinstance(group, click.Group):
        return {" ".join(above): group}
    return {
        words: leaf for name, below in group.commands.items() for words, leaf in leaves(below, *above, name).items()
    }


def named() -> list[str]:
    """Return what the pages say in code that starts with `recsys `."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(r"(?:`|^|&& )recsys ([a-z][^`\n]*)", text, re.MULTILINE)


def test_the_pages_name_every_command_and_no_other() -> None:
    there = leaves(cli)
    found = set()
    for text in named():
        words = text.split()
        command = next((c for c in (" ".join(words[:2]), words[0]) if c in there), text)
        found.add(command)
        help_page = CliRunner().invoke(cli, [*command.split(), "--help"])
        assert help_page.exit_code == 0, text
        for option in re.findall(r"--[a-z-]+", text):
            assert option in help_page.output, text
    assert found == set(there)


def find_section(page: str, name: str) -> str:
    """Return the section of `name` on a page of objectives or metrics."""
    (found,) = re.findall(rf"^#+ `{name}`\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("name", metrics.__all__)
def test_a_metric_says_all_that_its_section_shows(name: str) -> None:
    said = conf.fields(getattr(metrics, name))
    assert tuple(said) == conf.FIELDS and all(said.values())
    section = find_section(conf._metrics(), name)
    assert re.findall(r"^\* (\w+): \S", section, re.MULTILINE) == ["range", "better", "cost", "source"]
    assert conf._formula("metrics", name, said) in section


@pytest.mark.parametrize("name", objectives.__all__)
def test_an_objective_says_all_that_its_section_shows(name: str) -> None:
    found = getattr(objectives, name)
    said = conf.fields(found)
    assert tuple(said) == conf.OBJECTIVE_FIELDS and all(said.values())
    section = find_section(conf._objectives(), name)
    for label in (*conf.LABELS, "shape"):
        assert re.search(rf"^\* {label}: \S", section, re.MULTILINE), label
    assert re.search(r"^\* shape: `(Modular|Spread|Coverage|Volume|Seats|Counts)`$", section, re.MULTILINE)
    assert all(what for _, what in conf.settings(found).values())
    assert conf._formula("objectives", name, said) in section


def test_an_objective_shows_the_shape_and_the_settings_of_its_signature() -> None:
    section = find_section(conf._objectives(), "dpp")
    assert "* shape: `Volume`\n* `space = 'cooccurrence'`: " in section
    assert "* `ridge = 0.01`: Share of the identity in the kernel" in section
    assert "* source: Chen, Zhang and Zhou 2018\n" in section


def test_formulas_are_set_where_the_file_has_them_and_else_those_of_the_docstring() -> None:
    assert set(conf.FORMULAS["metrics"]) <= set(metrics.__all__)
    assert set(conf.FORMULAS["objectives"]) <= set(objectives.__all__)
    assert conf._formula("metrics", "precision", {}) == "$$\n\\frac{|\\text{hits}|}{k}\n$$"
    assert conf._formula("objectives", "of_somebody_else", {"Formula": "a_i"}) == r"a\_i"


def test_every_field_of_a_record_and_every_key_of_a_config_is_explained() -> None:
    for name in models.__all__:
        kind = getattr(models, name)
        assert all(conf._declared(kind, field.name)[1] for field in dataclasses.fields(kind)), name
    for name in set(types.__all__) - {"RecsysError", "RecsysWarning"}:
        kind = getattr(types, name)
        if dataclasses.is_dataclass(kind):
            said = {field.name for field in dataclasses.fields(kind) if conf._declared(kind, field.name)[1]}
            assert {field.name for field in dataclasses.fields(kind)} - said <= {"tables", "checked"}, name
    rows = [line for line in conf._keys().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row for row in rows if re.search(r"\|\s*\|$", row)] == []


def test_every_public_name_is_documented() -> None:
    documented = conf.documented_names()
    for name in set(recsys.__all__) - {"__version__"}:
        module = getattr(getattr(recsys, name), "__name__", "")
        assert f"recsys.{name}" in documented or module.removeprefix("recsys.") in conf.MODULES, name


def test_tables_of_results_fit_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, columns in conf.RESULTS.items():
        header, _, *rows = conf._results(name, columns).partition("\n\n")[0].splitlines()
        assert header.count("|") <= 8 and len(rows) >= 1, name
    monkeypatch.setattr(conf, "RESULTS_FOLDER", tmp_path)
    (tmp_path / "a.csv").write_text("x_y,z\n0.126,\n,b|c\n", encoding="utf-8")
    shown = conf._results("a", {"number": "{x_y:.2f}", "text": "{z}"})
    assert shown.splitlines()[2:4] == ["| 0.13 |  |", r"|  | b\|c |"]


@pytest.mark.parametrize("page", [ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")])
def test_files_that_a_page_links_to_are_there(page: Path) -> None:
    """Sphinx checks the links of docs/."""
    links = re.findall(r"\]\(([^)#]+)(#[^)]+)?\)", page.read_text(encoding="utf-8"))
    for target, anchor in links:
        assert target.startswith("https://") or (ROOT / target).is_file(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", (ROOT / target).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, anchor


TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


def test_the_tutorial_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recsys, "load_dataset", synthetic)
    outputs = [new for _, new in notebooks.run_notebook(TUTORIAL)]
    assert len(outputs) == 7 and outputs[0].startswith("300 users, 400 items\n")


def test_the_tutorial_keeps_what_its_cells_print(movielens: None) -> None:
    for kept, new in notebooks.run_notebook(TUTORIAL):
        (shown, wanted), (printed, found) = split_numbers(kept), split_numbers(new)
        assert shown == printed
        assert found == pytest.approx(wanted, rel=0.05, abs=0.002)


def test_a_notebook_as_a_page(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "text"]},
        {"cell_type": "code", "source": ["x = 1\n", "x + 1"], "outputs": [], "execution_count": None},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    notebooks.update_outputs(tmp_path / "a.ipynb")
    assert notebooks.run_notebook(tmp_path / "a.ipynb") == [("2\n", "2\n")]
    page = "# A\ntext\n\n```python\nx = 1\nx + 1\n```\n\n```text\n2\n```\n"
    assert notebooks.write_as_markdown(tmp_path / "a.ipynb") == page


def list_docstrings() -> list[tuple[Path, str]]:
    """Return the file and the text of every docstring of the package."""
    return [
        (path, said)
        for path in sorted((ROOT / "recsys").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (said := ast.get_docstring(node))
    ]


def test_names_in_docstrings_are_there() -> None:
    docstrings = list_docstrings()
    code = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "recsys").rglob("*.py")))
    without = re.sub(r"`[^`\n]+`", "", code)
    modules = {path.stem for path in (ROOT / "recsys").rglob("*.py")}
    known = {*re.findall(r"\w+", without), *modules, "strptime", "data_run"}  # the last two are examples
    lacking = {
        (path.name, name)
        for path, said in docstrings
        for name in re.findall(r"(?<!`)`([A-Za-z][\w.]*)`(?!`)", said)
        if not known >= set(name.split("."))
    }
    assert lacking == set()
    records = {name: getattr(recsys, name) for name in ("Slates", "Pool", "Recommendation", "Context", "Split")}
    for path, said in docstrings:
        for kind, name in re.findall(rf"`({'|'.join(records)})\.(\w+)`", said):
            assert hasattr(records[kind], name) or name in records[kind].__dataclass_fields__, (path.name, kind, name)


def test_a_docstring_without_a_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"docstring of recsys\.models\.als\.ALS has no line :Formula:"):
        conf.fields(models.ALS, conf.FIELDS)
