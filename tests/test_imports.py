"""What `import recsys` loads, and that its names are there for people and for type checkers alike."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

import recsys
from recsys.types.extras import EXTRA_MODULES, needs_extra

HEAVY = {
    "altair", "click", "implicit", "networkx", "numba", "pandas", "pooch", "pyarrow", "pydantic", "requests",
    "rich", "sklearn",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter has after `code`."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import recsys", "from recsys import Pool, RecsysError, Slates"])
def test_import_is_light(code: str) -> None:
    assert not loaded(code) & HEAVY


def test_the_light_import_test_can_fail() -> None:
    assert "pandas" in loaded("import recsys, pandas") & HEAVY


@pytest.mark.parametrize("name", recsys.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(recsys, name) is not None


def test_type_checkers_see_what_is_there() -> None:
    tree = ast.parse(Path(recsys.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {*imported, "__version__"} == set(recsys.__all__)
    for name, module in imported.items():
        assert getattr(import_module(str(module)), name) is getattr(recsys, name)


def test_a_module_of_another_place_is_there_before_anything_is_imported() -> None:
    script = "import recsys; print(recsys.guards.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "recsys.reranking.guards"


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        recsys.laod  # noqa: B018
    assert not hasattr(recsys, "import_module")


def test_the_extra_is_known_by_its_modules() -> None:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    wanted = {requirement.partition(">")[0] for requirement in extras["bench"]}
    providers = metadata.packages_distributions()
    provided = {name.lower().replace("_", "-") for module in EXTRA_MODULES for name in providers[module]}
    assert provided == wanted
    assert set(extras["index"]) < set(extras["bench"])  # so that what needs it is known, and [dev] has it


def test_without_the_extra_the_command_line_says_one_line() -> None:
    script = "import sys; sys.modules['click'] = None; from recsys.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'recsys: the command line needs the extra: pip install "recsys-negspace[bench]"\n'


WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({sorted(EXTRA_MODULES)}))"
WORLD = """
import numpy as np, recsys as rs
from scipy import sparse
train = sparse.csr_array(np.eye(6, 8, dtype=np.float32) + np.eye(6, 8, 1, dtype=np.float32))
"""
CALLS = {
    "rs.load_dataset('ml-100k')": "recsys.load_dataset needs pydantic",
    "rs.read_dataset(table)": "recsys.read_dataset needs pandas",
    "rs.data.read_frame({'user_id': [1], 'item_id': [2]})": "recsys.data.read_frame needs pandas",
    "rs.data.fetch_dataset('ml-100k')": "recsys.data.fetch_dataset needs pydantic",
    "rs.bench('ml-100k')": "recsys.bench needs pydantic",
    "rs.maps.objective_maps(train)": "recsys.maps.objective_maps needs sklearn",
    "rs.maps.audit_maps(train)": "recsys.maps.audit_maps needs sklearn",
    "rs.models.ALS().fit(train)": "als needs implicit",
    "rs.models.BPR().fit(train)": "bpr needs implicit",
    "rs.models.LMF().fit(train)": "lmf needs implicit",
}


def test_without_the_extra_python_says_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id\n1,2\n", encoding="utf-8")
    script = f"""{WITHOUT}{WORLD}
table = {str(tmp_path / "log.csv")!r}
for call in {list(CALLS)}:
    try:
        eval(call)
    except rs.RecsysError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f'{line}: pip install "recsys-negspace[bench]"' for line in CALLS.values()]


@pytest.mark.parametrize("kind", ["EASE", "IALS", "PureSVD"])
def test_the_core_fits_without_the_extra(kind: str) -> None:
    script = f"{WITHOUT}{WORLD}print(rs.models.{kind}().fit(train).score(np.arange(2)).shape)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "(2, 8)\n")


def test_the_core_ranks_without_the_extra() -> None:
    script = f"""{WITHOUT}{WORLD}
pool = rs.Pool.from_frame(["a", "a"], ["x", "y"], [1.0, 2.0])
print(rs.rerank(pool, {{"relevance": 1.0}}, k=2).items, rs.models.MostPopular().fit(train).score(np.arange(1)).shape)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "[[1 0]] (1, 8)\n")


def test_what_else_is_missing_is_not_taken_for_the_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"), needs_extra("this"):
        import_module("nowhere")
