"""What is in the wheel, and that it works in an environment that holds nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recsys.experiments import bench
from recsys.rankers.warmups import build_synthetic_ranker

ROOT = Path(__file__).parents[1]
RANK = """
import recsys
pool = recsys.Pool.from_frame(["a", "a"], ["x", "y"], [1, 2])
print(recsys.rerank(pool, {"relevance": 1}, k=2).items)
"""
OWN_TABLE = (ROOT / "configs" / "own-csv.toml").read_text(encoding="utf-8")
UNCOMPILED = {"NUMBA_DISABLE_JIT": "1"}  # compiling the kernels for a new place takes a minute
ADVICE = 'recsys: the command line needs the extra: pip install "recsys-negspace[bench]"\n'


def run(command: Sequence[str | Path], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `command` in `cwd`, with nothing of this checkout on the path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)


def must(command: Sequence[str | Path], cwd: Path, **more: str) -> str:
    """Run `command`, which has to succeed, and return what it printed."""
    done = run(command, cwd, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    must([sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def install(folder: Path, *requirement: str | Path) -> Path:
    """Install `requirement` into a new environment, and return its folder of programs."""
    must([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder.parent)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
    must([*pip, "install", "--quiet", "--no-compile", *requirement], cwd=folder.parent)
    return programs


def write_ratings(path: Path, users: int) -> None:
    """Write a log of users in three tastes and 100 items."""
    random = np.random.default_rng(0)
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(users):
        near = np.where(np.arange(100) % 3 == user % 3, 6.0, 1.0) / (10 + np.arange(100))
        for time, item in enumerate(random.choice(100, size=20, replace=False, p=near / near.sum())):
            rows.append(f"u{user},i{item},{random.integers(3, 6)},{1_000_000 + 1000 * user + time}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_holds_the_package_cards_and_configs(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "recsys").rglob("*.py")}
    shipped = {
        f"recsys/_shipped/{path.relative_to(ROOT).as_posix()}"
        for folder in ("datasets", "configs")
        for path in (ROOT / folder).rglob("*.toml")
    }
    assert shipped
    assert held == package | shipped | {"recsys/py.typed"}
    assert wheel.stat().st_size < 1_400_000


INSTALLED = """
import importlib.util, json, sys
from pathlib import Path
import recsys, recsys.support.resources
from recsys.support.resources import find_shipped_folder
print(json.dumps({
    "files": [recsys.__file__, recsys.support.resources.__file__, str(find_shipped_folder("datasets"))],
    "seen by checkers": [one for place in sys.path if Path(place, "recsys/py.typed").exists() for one in Path(place).iterdir()],
    "elsewhere": [name for name in ("datasets", "configs", "tests", "hatch_build") if importlib.util.find_spec(name)],
}, default=str))
"""


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_editable_install_is_the_checkout_and_no_more(installer: str, tmp_path: Path) -> None:
    if installer == "pip":
        python = install(tmp_path / "venv", "--no-deps", "--editable", ROOT) / "python"
    else:
        uv = shutil.which("uv") or install(tmp_path / "uv", "uv") / "uv"
        must([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], cwd=tmp_path)
        there = {"VIRTUAL_ENV": str(tmp_path / "venv"), "UV_CACHE_DIR": str(tmp_path / "cache")}
        must([uv, "pip", "install", "--quiet", "--no-deps", "--editable", ROOT], cwd=tmp_path, **there)
        python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (tmp_path / "start" / "recsys").mkdir(parents=True)  # a folder that is no package hides nothing
    found = json.loads(must([python, "-c", INSTALLED], cwd=tmp_path))
    assert found["files"] == [
        str(ROOT / path) for path in ("recsys/__init__.py", "recsys/support/resources.py", "datasets")
    ]
    assert [Path(path).name for path in found["seen by checkers"]] == ["recsys"]
    assert found["elsewhere"] == []  # other people's packages may have these names
    where = "import recsys; print(recsys.__file__)"
    assert must([python, "-c", where], cwd=tmp_path / "start") == f"{ROOT / 'recsys' / '__init__.py'}\n"
    (tmp_path / "start" / "recsys" / "__init__.py").touch()  # another checkout, say: what stands where Python starts
    assert must([python, "-c", where], cwd=tmp_path / "start") == f"{tmp_path / 'start' / 'recsys' / '__init__.py'}\n"


TYPED = """
import recsys as rs

pool = rs.Pool.from_frame(["a", "a"], ["x", "y"], [1.0, 2.0])
slates: rs.Slates = rs.rerank(pool, {"relevance": 1.0}, k=2)
wrong: int = rs.rerank(pool, {"relevance": 1.0}, k=2)
def show(ranker: rs.Ranker, found: rs.Comparison, done: rs.Bench) -> rs.Recommendation:
    reveal_type((found.margin, done.folder))
    return ranker.rank(history=["x"])
"""


# Nothing in the script is of a type of theirs, and reading them takes most of the time.
UNREAD = """
[mypy]
strict = true
[mypy-pandas.*,scipy.*,pyarrow.*,pydantic.*,sklearn.*,altair.*,optuna.*,rich.*,click.*,numba.*,implicit.*,statsmodels.*]
follow_imports = skip
"""


@pytest.mark.slow
def test_type_checkers_find_the_package_from_any_folder(tmp_path: Path) -> None:
    """The types of the installed package are known where nothing of the checkout is: a wrong one is an error."""
    (tmp_path / "script.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(UNREAD, encoding="utf-8")
    done = run([sys.executable, "-m", "mypy", "--cache-dir", os.devnull, "script.py"], cwd=tmp_path)
    assert done.stdout.splitlines() == [
        'script.py:6: error: Incompatible types in assignment (expression has type "Slates", variable has type "int")  '
        "[assignment]",
        'script.py:8: note: Revealed type is "tuple[float, pathlib.Path]"',
        "Found 1 error in 1 file (checked 1 source file)",
    ]


@pytest.mark.slow
def test_the_core_alone(wheel: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "core", wheel)
    where = must([programs / "python", "-c", "import recsys; print(recsys.__file__)"], cwd=tmp_path)
    assert Path(where).is_relative_to(tmp_path)
    assert must([programs / "python", "-c", RANK], cwd=tmp_path, **UNCOMPILED) == "[[1 0]]\n"
    done = run([programs / "recsys", "bench"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", ADVICE)
    folder = build_synthetic_ranker({"relevance": 1.0, "mmr": 0.1}).save(tmp_path / "ranker")
    assert f"ranker: {folder} is whole" in must([programs / "recsys", "warmup", folder], cwd=tmp_path, **UNCOMPILED)
    done = run([programs / "recsys", "warmup", "nowhere"], cwd=tmp_path, **UNCOMPILED)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_the_commands_of_the_container_run(wheel: Path, tmp_path: Path) -> None:
    """As a plain script, in an environment that finds the packages that are here: what it fetches is the wheel."""
    recipe = (ROOT / "docs" / "service" / "Containerfile").read_text(encoding="utf-8")
    needed = (ROOT / "docs" / "service" / "requirements.txt").read_text(encoding="utf-8")
    for line in needed.splitlines()[1:]:
        pytest.importorskip(re.split("[>=]", line)[0])
    must([sys.executable, "-m", "venv", tmp_path / "venv"], cwd=tmp_path)
    programs, place = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin"), tmp_path / "srv"
    site = must([programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=tmp_path)
    paths = {str(Path(__import__(name).__file__).parents[1]) for name in ("numpy", "fastapi", "uvicorn")}
    Path(site.strip(), "packages.pth").write_text("\n".join(sorted(paths)), encoding="utf-8")
    place.mkdir()
    (place / "requirements.txt").write_text(needed.replace("recsys-negspace", str(wheel)), encoding="utf-8")
    (place / "app.py").write_bytes((ROOT / "docs" / "service" / "app.py").read_bytes())
    build_synthetic_ranker({"relevance": 1.0, "mmr": 0.1}).save(place / "artefact")
    (said,) = re.findall(r"^ENV (.*)$", recipe, re.MULTILINE)
    around = dict(one.replace("/srv", str(place)).split("=") for one in said.split())
    around |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    script = "\n".join(["set -eu", *re.findall(r"^RUN (.*)$", recipe, re.MULTILINE)])
    assert "is whole, policy" in must(["sh", "-c", script], cwd=place, **around, **UNCOMPILED)
    where = "import recsys, app; print(recsys.__file__, [route.path for route in app.app.routes][-3:])"
    assert must([programs / "python", "-c", where], cwd=place, **around, **UNCOMPILED) == (
        f"{Path(site.strip(), 'recsys', '__init__.py')} ['/rank', '/healthz', '/metrics']\n"
    )


@pytest.mark.slow
def test_a_benchmark_of_ones_own_table_by_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The wheel beside the packages that are here; that [bench] names all of them, the README's first lines say."""
    programs = install(tmp_path / "venv", "--no-deps", wheel)
    site = must([programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=tmp_path)
    Path(site.strip(), "packages.pth").write_text(f"{Path(np.__file__).parents[1]}\n", encoding="utf-8")
    where = must([programs / "python", "-c", "import recsys; print(recsys.__file__)"], cwd=tmp_path)
    assert Path(where).is_relative_to(tmp_path)
    there = {"RECSYS_DATA": str(tmp_path / "data"), "RECSYS_CACHE": str(tmp_path / "cache"), **UNCOMPILED}
    assert "ml-100k" in must([programs / "recsys", "data", "list"], cwd=tmp_path, **there)
    text = OWN_TABLE.replace("[5, 10, 20]", "[5]").replace("n = 100", "n = 20")
    text = "baselines = []\n" + text[: text.index("[blends.")]
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    write_ratings(tmp_path / tomllib.loads(text)["data"]["path"], users=40)
    must([programs / "recsys", "bench", "own.toml", "--out", "results", "--quiet"], cwd=tmp_path, **there)
    (report,) = (tmp_path / "results").rglob("report.html")
    assert report.stat().st_size > 10_000


def test_the_config_for_a_table_of_ones_own_runs_with_a_weight_of_each_blend(tmp_path: Path) -> None:
    text = OWN_TABLE.replace("[0.1, 0.2, 0.4]", "0.2").replace("n_bootstrap = 1000", "n_bootstrap = 100")
    text = text.replace("[5, 10, 20]", "[5]").replace("[-0.1, -0.2, -0.4]", "-0.2")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    write_ratings(tmp_path / tomllib.loads(text)["data"]["path"], users=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
        done = bench(tmp_path / "own.toml", out=tmp_path / "results", quiet=True)
    assert set(tomllib.loads(text)["blends"]) <= set(done.summary.run)


def test_the_version_is_said_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.search(
        rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
