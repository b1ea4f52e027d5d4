"""The documentation is run: Python blocks, configs, commands."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from pages import conf
from scipy import sparse

import recsys
from recsys import configs, data, metrics, objectives, testing
from recsys.cli import cli
from recsys.sweeps import plans
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


@pytest.mark.usefixtures("forget_modules")
@pytest.mark.parametrize("page", having("toml"), ids=lambda page: page.stem)
def test_toml_blocks_are_configs(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    for block in blocks(page, "toml"):
        if "sources" in tomllib.loads(block):
            testing.check_card(tmp_path / block.partition("\n")[0].removeprefix("# "))
            continue
        (tmp_path / "my.toml").write_text(block, encoding="utf-8")
        if "extends" in tomllib.loads(block):
            assert plans.read_sweep(tmp_path / "my.toml").methods
            continue
        assert set(tomllib.loads(block)) <= set(configs.read_config(tmp_path / "my.toml").dump_settings())


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


@pytest.mark.parametrize("name", metrics.__all__)
def test_a_metric_says_all_that_its_table_shows(name: str) -> None:
    said = conf.fields(getattr(metrics, name))
    assert tuple(said) == conf.FIELDS and all(said.values())
    row = next(line for line in conf._metrics().splitlines() if line.startswith(f"| `{name}` |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == len(conf.FIELDS) + 3


@pytest.mark.parametrize("name", objectives.__all__)
def test_an_objective_says_all_that_its_table_shows(name: str) -> None:
    said = conf.fields(getattr(objectives, name))
    assert tuple(said) == conf.OBJECTIVE_FIELDS and all(said.values())
    row = next(line for line in conf._objectives().splitlines() if line.startswith(f"| `{name}` |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 10
    assert re.search(r"\| `(Modular|Spread|Coverage|Volume|Seats|Counts)` \|", row)


def test_an_objective_shows_the_shape_and_the_settings_of_its_signature() -> None:
    row = next(line for line in conf._objectives().splitlines() if line.startswith("| `dpp` |"))
    assert "| `Volume` | `space = 'cooccurrence'`, `ridge = 0.01`, `window = None` | Chen, Zhang and Zhou 2018 |" in row
