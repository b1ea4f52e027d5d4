"""Every shipped reproduction has the settings that its source states, and states all of them."""

import math
import random
from dataclasses import fields

import pytest
from test_data_card_mutants import mutate_content, mutate_text

from recsys import models
from recsys.reproductions.published_settings import ReproductionConfig, list_reproductions, read_reproduction
from recsys.types import RecsysError


def converted(factors, alpha, epsilon, regularization, epochs):
    """Return our iALS for theirs: a confidence of 1 + alpha log(1 + 1 / epsilon) in place of 1, without a weight by counts.

    Both losses are divided by what an observed cell has beyond an unobserved one, and then by that cell's confidence.
    """
    confidence = 1 + alpha * math.log(1 + 1 / epsilon)
    return {
        "kind": "ials", "factors": factors, "unobserved": 1 / (confidence - 1), "nu": 0.0, "init": 0.1,
        "regularization": regularization / confidence, "iterations": epochs,
    }  # fmt: skip


def knn(k, similarity, shrink):
    return {"kind": "item_knn", "k": k, "similarity": similarity, "shrink": shrink}


def p3(k, alpha, normalize):
    return {"kind": "p3alpha", "k": k, "alpha": alpha, "normalize": normalize}


def rp3(k, alpha, beta, normalize):
    return {"kind": "rp3beta", "k": k, "alpha": alpha, "beta": beta, "normalize": normalize}


def ease(l2, dtype="float64"):
    return {"kind": "ease", "l2": l2, "dtype": dtype}


def svd(factors):
    return {"kind": "pure_svd", "factors": factors}


RANDOM, POPULAR = {"kind": "random"}, {"kind": "most_popular"}

# Ferrari Dacrema et al. (2021), additional material: tables 58 and 59, 66 to 68, 91 and 92, 105 and 106; BARS (Zhu et al.
# 2022), its pages on each model; Steck (2019), section 4; Rendle et al. (2021), the code beside it.
SOURCES = {
    "ml-1m-ncf": {
        "Random": RANDOM, "TopPopular": POPULAR,
        "P3alpha": p3(1000, 1.2177, False), "RP3beta": rp3(546, 1.0807, 0.7029, True),
        "ItemKNN CF cosine": knn(111, "bm25", 298.0), "EASE^R": ease(1320.0), "PureSVD": svd(52),
        "iALS": converted(46, 50.0, 10.0, 1e-5, 10),
        "iALS (Rendle et al. 2021)": {
            "kind": "ials", "factors": 64, "unobserved": 0.3, "regularization": 0.007, "nu": 1.0, "init": 0.1,
            "iterations": 16,
        },
    },
    "ml-1m-neurec": {
        "Random": RANDOM, "TopPopular": POPULAR,
        "P3alpha": p3(162, 1.4534, True), "RP3beta": rp3(109, 1.1222, 0.109, True),
        "ItemKNN CF cosine": knn(307, "tfidf", 1.0), "EASE^R": ease(887.0), "PureSVD": svd(30),
        "iALS": converted(35, 0.8507, 0.3278, 1.41e-3, 60),
    },
    "ml-20m-vae": {
        "EASE (Steck 2019)": ease(500.0), "Random": RANDOM, "TopPopular": POPULAR,
        "P3alpha": p3(523, 0.5575, True), "RP3beta": rp3(399, 0.7242, 0.4945, True),
        "ItemKNN CF cosine": knn(278, "bm25", 409.0), "EASE^R": ease(679.0), "PureSVD": svd(33),
    },
    "ml-100k-dmf": {
        "Random": RANDOM, "TopPopular": POPULAR,
        "P3alpha": p3(93, 0.0, True), "RP3beta": rp3(311, 0.3966, 0.5232, True),
        "ItemKNN CF cosine": knn(303, "bm25", 0.0), "EASE^R": ease(10500.0), "PureSVD": svd(24),
        "iALS": {
            "kind": "ials", "factors": 25, "unobserved": 1 / 0.00474, "nu": 0.0, "init": 0.1,
            "regularization": 1e-5 / 1.00474, "iterations": 20,
        },
    },
    "gowalla-lightgcn": {
        "EASE^R": ease(80.0, "float32"), "ItemCF": knn(100, "cosine", 0.0),
        "iALS beside LightGCN": {  # no source: chosen here
            "kind": "ials", "factors": 1024, "unobserved": 0.005, "regularization": 0.005, "nu": 1.0, "init": 0.1,
            "iterations": 10,
        },
    },
    "yelp2018-lightgcn": {"EASE^R": ease(300.0, "float32")},
    "amazon-book-lightgcn": {"EASE^R": ease(50.0, "float32")},
}  # fmt: skip

FITTED_TO_RATINGS = {("ml-100k-dmf", "RP3beta"), ("ml-100k-dmf", "EASE^R"), ("ml-100k-dmf", "PureSVD")}
ROWS = [(name, model) for name in list_reproductions() for model in read_reproduction(name).models]


def given(row):
    return row.model.model_dump(exclude_unset=True)


def test_the_table_has_every_row():
    assert {(name, model) for name, rows in SOURCES.items() for model in rows} == set(ROWS)


@pytest.mark.parametrize(("name", "model"), ROWS)
def test_a_row_has_the_settings_of_its_source(name, model):
    row = read_reproduction(name).models[model]
    found, expected = given(row), SOURCES[name][model]
    assert set(found) == set(expected)
    for setting, value in expected.items():
        assert found[setting] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value), setting
    assert row.values == ("ratings" if (name, model) in FITTED_TO_RATINGS else "ones")


LEFT_OUT = {"seed", "patience", "disliked", "half_life"}  # off by default, and of no published row


@pytest.mark.parametrize(("name", "model"), ROWS)
def test_a_row_depends_on_no_default(name, model):
    row = read_reproduction(name).models[model]
    kind = type(row.build_model("here"))
    assert kind.__name__ in models.__all__
    assert {field.name for field in fields(kind)} - LEFT_OUT <= set(given(row)) | LEFT_OUT


@pytest.mark.parametrize("name", list_reproductions())
def test_no_note_tells_of_a_setting_that_could_be_given(name):
    for row in read_reproduction(name).models.values():
        assert not row.note.endswith("ours are not")


TEXTS = {name: path.read_text(encoding="utf-8") for name, path in list_reproductions().items()}


@pytest.mark.parametrize("mutate", [mutate_content, mutate_text])
def test_a_mutant_of_a_table_is_a_table_or_one_line(mutate, tmp_path):
    rng, path, taken = random.Random(0), tmp_path / "t.toml", 0
    for number in range(60):
        text = mutate(TEXTS[rng.choice(sorted(TEXTS))], rng)
        path.write_text(text, encoding="utf-8", newline="")
        try:
            made = read_reproduction(path)
            for name, row in made.models.items():
                row.build_model(name)
        except RecsysError as error:
            assert "\n" not in str(error), (number, text)
            continue
        assert isinstance(made, ReproductionConfig)
        taken += 1
    assert 0 < taken < 60


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        (
            "gowalla-lightgcn",
            '"recall@20" = 0.005',
            '"recall@20" = -0.005',
            "[tolerance] recall@20 is -0.005: input should be greater",
        ),
        (
            "gowalla-lightgcn",
            '"recall@20" = 0.005',
            '"recall@20" = nan',
            "[tolerance] recall@20 is nan: input should be a finite",
        ),
        ("gowalla-lightgcn", "= 0.1765", "= inf", "published] recall@20 is inf: input should be a finite number"),
        (
            "gowalla-lightgcn",
            "users = 29_858",
            "users = 0",
            "[data.size] users is 0: input should be greater than or equal to 1",
        ),
        ("gowalla-lightgcn", "users = ", "user = ", "[data.size]: unknown key 'user': did you mean 'users'?"),
        ("gowalla-lightgcn", '"train.txt" = "a2', '"train.txt" = "zz', "[data.objects] train.txt is 'zz"),
        ("gowalla-lightgcn", '"train.txt" =', '"trian.txt" =', "unknown file 'trian.txt': did you mean 'train.txt'?"),
        (
            "ml-1m-ncf",
            '"sampled_ndcg@10" = 0.004',
            '"sampled_ndcg@10" = -1',
            "tolerance] sampled_ndcg@10 is -1: input should be",
        ),
    ],
)
def test_values_of_a_table_that_cannot_be_meant(name, old, new, line, tmp_path):
    assert old in TEXTS[name]
    (tmp_path / "t.toml").write_text(TEXTS[name].replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecsysError) as caught:
        read_reproduction(tmp_path / "t.toml")
    assert line in str(caught.value) and "\n" not in str(caught.value)
