"""How the documentation is built: from the pages in this folder and from the docstrings of the package."""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin

import numpy as np

from recsys.types import arrays

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "paper"), str(HERE)]
import checks  # noqa: E402  (of the paper, as is the next)
import lookups  # noqa: E402
import notebooks  # noqa: E402

RESULTS_FOLDER = HERE.parent / "benchmarks" / "results"
API = HERE / "api"  # written anew by every build, never committed

# Every public module, in the order of the flow. Each gets a page.
MODULES = (
    "data", "splits", "models", "retrieval.candidates", "retrieval.repeat_candidates", "retrieval.score_calibration",
    "objectives", "likelihoods", "likelihoods.features",
    "reranking.slates", "reranking.guards", "reranking.user_weights", "reranking.opportunity_costs", "maps", "metrics",
    "metrics.presets", "metrics.published_variants", "metrics.list_comparison", "scores", "rankers", "control.receipts",
    "control.receipt_logs", "control.whys", "batch", "spark", "evidence", "configs",
    "experiments", "sweeps", "simulation", "reproductions.run", "testing", "types",
)  # fmt: skip
# Each gets a table of its names and what they are, for the pages that include it.
TABLES = {"splits": "splits", "models": "models", "guards": "reranking.guards"}
# What a setting means that several objectives share; others stand under "Args:" in the objective's docstring.
SETTINGS = {
    "space": '"cooccurrence", "factors" or "features": the vectors by which two items are near.',
    "distance_share": "How much of u is distance to the history, from 0 (own maps alone) to 1 (distance alone).",
    "aspects": '"features", or "map": the regions of the first own map.',
    "score_transform": "What a score is worth: [below](#what-a-score-is-worth).",
    "platt_slope": "Slope of the curve from a score to a probability.",
    "platt_offset": "Offset of that curve.",
    "seed": "Makes the draws; the same seed gives the same numbers.",
    "half_life": "Days after which a positive of the history counts half; by default all count alike.",
    "prior_strength": "How many observations of everybody stand beside a user's own.",
}
# Tables of results with more columns than a page has room for: the title of each column that is shown, and its content.
TUNED = {
    "model": "{model}",
    "nDCG@10": "{ndcg@10:.4f}",
    "that of EASE": "{its ndcg@10:.4f}",
    "difference in % [95 %]": "{relative:+.1%} [{relative_low:+.1%}, {relative_high:+.1%}]",
    "detectable": "{detectable:.4f}",
    "ten seeds: mean ± deviation": "{mean of ten seeds:.4f} ± {deviation:.4f}",
}
EXPOSURES = {"rule": "{rule}", "picks shown before": "{repeat_share_value:.1%}"} | {
    title: f"{{{name}_value:.{digits}f}} [{{{name}_value_low:.{digits}f}}, {{{name}_value_high:.{digits}f}}]; "
    f"{{{name}_difference:+.{digits}f}} [{{{name}_difference_low:+.{digits}f}}, {{{name}_difference_high:+.{digits}f}}]"
    for title, name, digits in (
        ("nDCG@10", "ndcg", 3), ("discovery@10", "discovery", 3), ("found", "found", 3),
        ("dismissed, of picks", "dismissed_share", 4),
    )
}  # fmt: skip
TOPICS = {"policy": "{data}: {policy}", "run": "{run}"} | {
    title: f"{{{name}_with:.3f}}; {{{name}_difference:+.3f}} [{{{name}_low:+.3f}}, {{{name}_high:+.3f}}]"
    for title, name in (
        ("nDCG@10", "ndcg"), ("nDCG@10 of other likes", "ndcg_of_other_likes"), ("discovery@10", "discovery"),
    )
} | {"slots of the topic, without": "{share_of_slots_without:.1%}"} | {
    "excess of proxies": "{excess_of_proxies_with:+.2%}; {excess_of_proxies_difference:+.2%} "
    "[{excess_of_proxies_low:+.2%}, {excess_of_proxies_high:+.2%}]"
}  # fmt: skip
PROXIES = {
    "data": "{data}", "topics": "{topics}", "compared": "{compared}", "of": "{of}",
    "excess": "{excess:+.2%} [{excess_low:+.2%}, {excess_high:+.2%}]",
    "ratio": "{ratio:.2f} [{ratio_low:.2f}, {ratio_high:.2f}]", "detectable": "{detectable:.2%}",
}  # fmt: skip
REPURCHASES = {
    "part": "{part}",
    "method": "{method}",
    "measure": "{measure}",
    "value": "{value:.5g}",
    "interval": "{low:.5g} to {high:.5g}",
    "other": "{other:.5g}",
    "n": "{n:,.0f}",
}
REPEATS = {"run": "{part}: {run}", "settings": "{settings}", "chosen": "{chosen}"} | {
    title: f"{{{name}:.3f}} [{{{name}_low:.3f}}, {{{name}_high:.3f}}]"
    for title, name in (
        ("purchases per slot", "precision"), ("recall of repeats", "repeat_recall"),
        ("recall of what is new", "explore_recall"), ("over-advertising", "over_advertising"),
    )
}  # fmt: skip
UNFINISHED = {
    "interests that end finished": "{returns:.0%}",
    "slots by": "{way}",
    "chosen": "{chosen}",
    "finished, per slate": "{value:.3f} [{low:.3f}, {high:.3f}]",
    "difference to none": "{difference:+.3f} [{difference_low:+.3f}, {difference_high:+.3f}]",
}
RESULTS = {
    "service": {"what": "{what}", "measured": "{ours:,.4g} {unit}"},
    "spark": {
        "what": "{what}",
        "on Spark": "{ours:,.4g} {unit}",
        "without": "{theirs:,.4g} {unit}",
        "ratio": "{ratio:.2f}",
    },
    "closed_loops": {
        "what": "{what}",
        "measured": "{ours:,.4g} {unit}",
        "ratio": "{ratio:.2f}",
        "asked": "{target:,.4g}",
    },
    "spark-scale": {"what": "{what}", "measured or computed": "{value:,.4g} {unit}"},
    "large_log": {"step: rows and halvings": "{what}", "measured": "{value:,.4g} {unit}", "asked": "{target:,.4g}"},
    "add_items": {
        "log, new items, model": "{log}: {new_items}, {new}; {model}",
        "among new: mean, shuffled, popular, added, refit": "{ndcg_mean:.4f}, {ndcg_shuffled:.4f}, {ndcg_popular:.4f}, "
        "{ndcg_added:.4f}, {ndcg_refit:.4f}",
        "added less shuffled": "{new_to_shuffled}",
        "added less popular": "{new_to_popular}",
        "added less refit": "{new_to_refit}",
        "among all: without, added, refit": "{all_none:.4f}, {all_added:.4f}, {all_refit:.4f}",
        "share of new items: added, refit": "{share_added:.1%}, {share_refit:.1%}",
    },
    "replications": {
        "statement": "{source}, {statement}",
        "found": "{value:.3f} [{low:.3f}, {high:.3f}]",
        "published": "{expected}",
        "verdict": "{verdict}",
    },
    "diverted_arms": {
        "diverted": "{diverted}",
        "measure": "{measure}",
        "lift of the treatment arm": "{estimate:+.1%} [{low:+.1%}, {high:+.1%}]",
        "lift of the full deployment": "{truth:+.1%} [{truth_low:+.1%}, {truth_high:+.1%}]",
        "difference": "{bias:+.1%} [{bias_low:+.1%}, {bias_high:+.1%}]",
        "same sign": "{same_sign:.0%}",
    },
    "update": {
        "model": "{model}",
        "after an update": "{parts}",
        "nDCG@10: none, updated, refit": "{ndcg_none:.4f}, {ndcg_updated:.4f}, {ndcg_refit:.4f}",
        "updated less none": "{updated_minus_none}",
        "updated less refit": "{updated_minus_refit}",
        "same items as the refit": "{same}",
        "seconds: update, refit": "{seconds_update:.2f}, {seconds_refit:.2f}",
    },
    "unfinished": UNFINISHED,
    "repeats": REPEATS,
    "exposures": EXPOSURES,
    "receipts": {"what": "{what}", "value": "{value:,.5g} {unit}", "95 %": "{low:.5g} to {high:.5g}"},
    "half_life": {
        "log, model": "{log}, {model}",
        "half-life, days": "{half_life}",
        "chosen, of all": "{choice}, {choice_of_all}",
        "validation": "{ndcg_validation:.4f}",
        "test": "{ndcg_test:.4f}",
        "difference to none": "{to_none:+.4f} [{to_none_low:+.4f}, {to_none_high:+.4f}]",
        "to the chosen": "{to_choice:+.4f} [{to_choice_low:+.4f}, {to_choice_high:+.4f}]",
    },
    "aged_likelihood": {
        "log": "{log}, {users} users",
        "model": "{model}",
        "half-life, days": "{half_life:g}",
        "model's order": "{base:.4f}",
        "alike": "{alike:.4f}",
        "by age": "{by_age:.4f}",
        "difference": "{difference:+.4f} [{low:+.4f}, {high:+.4f}]",
    },
    "one_offs": {
        "log, model": "{log}, {model}",
        "part": "{part}",
        "measure": "{kind}: {what}",
        "donors": "{donors}",
        "share; chosen": "{share:.0%}; {chosen}",
        "value": "{value:.3f}",
        "95 %": "[{low:.3f}, {high:.3f}]",
    },
    "shared_accounts": {
        "half": "{half}",
        "account": "{world}",
        "measure": "{kind}: {what}",
        "run; share; chosen": "{shortest} to {longest}; {share:.0%}; {chosen}",
        "value": "{value:.3f}",
        "95 %": "[{low:.3f}, {high:.3f}]",
        "n": "{n}",
    },
    "households": {
        "log": "{log}",
        "account": "{pairs}, {world}",
        "measure": "{what}",
        "whole": "{one:.3f}",
        **{way: f"{{{way}:+.3f}} [{{{way}_low:+.3f}}, {{{way}_high:+.3f}}]" for way in ("clusters", "random", "known")},
    },
    "one_offs-speed": {
        "users": "{users:,}",
        "positives of each": "{history}",
        "items": "{items:,}",
        "numbers of a vector": "{dimensions}",
        "influence, s": "{influence_s:.1f}",
        "isolation, s": "{isolation_s:.1f}",
        "s for 100,000 users": "{s_per_100k:.0f}",
    },
    "shrinkage": {
        "part": "{part}",
        "kappa": "{kappa}",
        "fitted": "{fitted}",
        "history": "{history}",
        "measure": "{measure}",
        "value": "{value:.4f}",
        "difference to kappa 0": "{difference:+.4f} [{low:+.4f}, {high:+.4f}]",
    },
    "demand": REPURCHASES,
    "repurchases": REPURCHASES,
    "topics": TOPICS,
    "ignored-worlds": {
        "generated logs": "{world}",
        "segments judged": "{judged:.2f}",
        "named with reason": "{named_with_reason:.2f}",
        "named without": "{named_without:.3f}",
        "logs with a wrong name [95 %]": "{logs_with_a_wrong_name:.1%} [{logs_low:.1%}, {logs_high:.1%}]",
    },
    "ignored-regions": {
        "shown most": "{items}",
        "users": "{users:,}",
        "taken, of expected": "{taken:,} of {expected:,.0f}",
        "ratio [95 %]": "{ratio:.2f} [{ratio_low:.2f}, {ratio_high:.2f}]",
        "p": "{p_value:.3f}",
        "ignored": "{is_ignored}",
    },
    "unlearning": {
        "model": "{model}",
        "parts": "{parts}",
        "seconds of a person, of a refit": "{person_s:.3f}, {refit_s:.3f}",
        "difference to a refit: a person, a fifth of all": "{difference_person:.2g}, {difference_fifth:.2g}",
        "area before [95 %]": "{auc_before:.3f} [{auc_before_low:.3f}, {auc_before_high:.3f}]",
        "area after [95 %]": "{auc_after:.4f} [{auc_after_low:.4f}, {auc_after_high:.4f}]",
    },
    "unlearning-ease": {
        "items": "{items:,}",
        "an interaction": "{interaction_s:.3f} s",
        "a person": "{person_s:.3f} s",
        "the next person": "{next_person_s:.3f} s",
        "bound": "{person_bound:.1e}",
        "a copy of the weights": "{copy_s:.3f} s",
    },
    "proxies": PROXIES,
    "ask-test": {
        "log, start: nDCG@10": "{log}, {start}: {ndcg_0_value:.3f}",
        "questions": "{rule}",
    }
    | {
        f"after {n}": f"{{ndcg_{n}_value:.3f}}; {{ndcg_{n}_to_popular:+.3f}} "
        f"[{{ndcg_{n}_to_popular_low:+.3f}}, {{ndcg_{n}_to_popular_high:+.3f}}]"
        for n in (3, 5, 10)
    }
    | {
        "discovery@10 after 10": "{discovery_10_value:.3f}; {discovery_10_to_popular:+.3f} "
        "[{discovery_10_to_popular_low:+.3f}, {discovery_10_to_popular_high:+.3f}]",
        "answered of 10": "{answered_10:.0%}",
    },
    "complements": {
        "part: slots": "{part}: {run}",
        "chosen": "{chosen}",
        "users with one": "{touched:.0%}",
        "new purchases per slot": "{explore_precision:.4f}",
        "less none": "{versus_explore_precision:+.4f} [{versus_explore_precision_low:+.4f}, "
        "{versus_explore_precision_high:+.4f}]",
        "nDCG less none": "{versus_ndcg:+.4f} [{versus_ndcg_low:+.4f}, {versus_ndcg_high:+.4f}]",
    },
    "ask-regions-test": {"log, start: questions": "{log}, {start}: {rule}"}
    | {
        f"{title} after {n}": f"{{{metric}_{n}_value:.3f}}; {{{metric}_{n}_to_none:+.3f}} "
        f"[{{{metric}_{n}_to_none_low:+.3f}}, {{{metric}_{n}_to_none_high:+.3f}}]"
        for title, metric, n in (
            ("nDCG@10", "ndcg", 3),
            ("nDCG@10", "ndcg", 10),
            ("the rest", "rest", 3),
            ("the rest", "rest", 10),
            ("discovery", "discovery", 10),
        )
    }
    | {"answered of 10": "{answered_10_value:.0%}"},
    "like-curves": {
        "log": "{log}",
        "part": "{part}",
        "way": "{way}",
        "value [95 %]": "{value:.4f} [{low:.4f}, {high:.4f}]",
        "difference [95 %]": "{to_base:+.4f} [{to_base_low:+.4f}, {to_base_high:+.4f}]",
        "mean P(like)": "{mean_probability:.3f}",
        "liked": "{share_liked:.3f}",
    },
    "why_not": {
        "answers by": "{counted}",
        "kind": "{kind}",
        "answers": "{answers:,}",
        "verified": "{verified:,}",
        "share [95 %]": "{share:.2%} [{share_low:.2%}, {share_high:.2%}]",
        "median of an answer in ms [95 %]": "{ms_median:.1f} [{ms_median_low:.1f}, {ms_median_high:.1f}]",
        "95 % within ms": "{ms_p95:.1f}",
    },
    "agreement": {
        "library": "{peer}",
        "theirs and ours": "{what}",
        "theirs": "{theirs:.4f}",
        "ours": "{ours:.4f}",
        "largest difference": "{largest_difference:.1e}",
        "identical": "{identical:.0%}",
        "note": "{note}",
    },
    "defaults": {
        "data": "{data}",
        "model": "{model}",
        "trials": "{trials}",
        "ratio on validation": "{ratio on validation:.2f}",
        "ratio on test [95 %]": "{ratio on test:.2f} [{ratio low:.2f}, {ratio high:.2f}]",
        "tuned settings": "{tuned settings}",
    },
    "data-states": {
        "log": "{data}",
        "figure": "{figure}",
        "share": "{share}",
        "count": "{count}",
        "limit": "{limit}",
        "verdict": "{verdict}",
        "rule": "{rule}",
    },
    "data_check": {"what": "{what}", "value": "{value:g}", "unit": "{unit}", "at most": "{target:g}"},
    "tuned-ml-100k": TUNED,
    "tuned-ml-latest-small": TUNED,
    "tuned-ml-latest-small-256": TUNED,
    "likelihood-gains": {
        "log, split": "{dataset}, {split}",
        "kind": "{kind}",
        "used": "{used:.0%}",
        "nDCG@10 of the base": "{ndcg_base:.4f}",
        "change in % [95 %]": "{ndcg_relative:+.1%} [{ndcg_relative_low:+.1%}, {ndcg_relative_high:+.1%}]",
        "stratified recall in % [95 %]": (
            "{recall_relative:+.1%} [{recall_relative_low:+.1%}, {recall_relative_high:+.1%}]"
        ),
        "splits": "{splits}",
    },
    "likelihood-targets": {
        "what": "{what}",
        "kind": "{kind}",
        "found": "{found:+.1%}",
        "target": "at least {target:.0%}",
        "met": "{met}",
    },
    "ials-tuned": {
        "data": "{dataset}",
        "settings of iALS": "{settings}",
        "nDCG@10": "{ndcg@10:.4f}",
        "that of ALS": "{its ndcg@10:.4f}",
        "difference in % [95 %]": "{relative:+.1%} [{relative_low:+.1%}, {relative_high:+.1%}]",
    },
}
FORMULAS = tomllib.loads((HERE / "formulas.toml").read_text(encoding="utf-8"))
# What the docstring of a metric says beside its text, in the order of the columns.
FIELDS = ("Formula", "Range", "Better", "Cost", "Source")
# And that of an objective, whose gains are always oriented so that more is better: what more of it shows.
OBJECTIVE_FIELDS = ("Formula", "Range", "More", "Cost", "Source")
LABELS = ("range", "more of it shows", "cost", "source")
FIELD = re.compile(r"^:(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)

BAR = r"\|"  # a bar inside a cell of a table
NAN = re.compile(r"\bnan\b")  # a missing value, as a format writes it

project = "recsys"
author = "The recsys developers"
project_copyright = f"2026, {author}"
version = release = metadata.version("recsys-negspace")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "api/tables"]
html_theme = "furo"
html_title = f"recsys {release}"
html_static_path = [name for name in ("_static",) if (HERE / name).is_dir()]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"  # browsers draw it, without a script or a network
smartquotes = False  # y' is a transpose
add_module_names = False
autodoc_member_order = "groupwise"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100


def setup(app: Any) -> None:
    """Write the API pages before the sources are read, and read docstrings as they were meant."""
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("builder-inited", write_api)
    app.connect("source-read", fill_results)
    app.connect("autodoc-process-signature", shorten)
    splits = importlib.import_module("recsys.splits")
    for name in splits.__all__:
        split = getattr(splits, name)
        if hasattr(split, "__wrapped__"):  # its settings are those of two functions: no source has all their defaults
            split.__wrapped__ = object
    app.connect("autodoc-process-docstring", add_fields, priority=300)
    app.connect("autodoc-process-docstring", read_markdown, priority=400)  # before napoleon
    app.connect("doctree-read", link_names)


def write_math(writer: Any, node: Any) -> None:
    """Write a formula as MathML."""
    from docutils import nodes
    from docutils.utils.math.latex2mathml import tex2mathml

    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def link_names(app: Any, tree: Any) -> None:
    """Turn names of documented objects, such as `recsys.rerank` and `Pool`, into links to where they are documented."""
    from docutils import nodes
    from sphinx import addnodes

    homes = documented_names()
    for literal in list(tree.findall(nodes.literal)):
        home = homes.get(literal.astext().removesuffix("()"))
        if home and not isinstance(literal.parent, (nodes.reference, nodes.title, addnodes.pending_xref)):
            link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=home, refexplicit=True)
            literal.replace_self(link)
            link += literal


@cache
def documented_names() -> dict[str, str]:
    """Return where public names are documented: by their full names, as names of `recsys`, and classes by their own."""
    import recsys

    found = {}
    for module in MODULES:
        for name in public_names(importlib.import_module(f"recsys.{module}")):
            home = f"recsys.{module}.{name}"
            found[home] = home
            if name in recsys.__all__:
                found |= {f"recsys.{name}": home, f"rs.{name}": home}
            if name[0].isupper():
                found.setdefault(name, home)
    return found


def public_names(module: ModuleType) -> list[str]:
    """Return what the API page of a module documents: its `__all__`, else the functions and classes made in it."""
    made = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return [*getattr(module, "__all__", [name for name in made if not name.startswith("_")])]


def write_api(app: Any) -> None:
    """Write a page for every module, the tables, and the notebooks as pages."""
    (API / "tables").mkdir(parents=True, exist_ok=True)
    for name in MODULES:
        importlib.import_module(f"recsys.{name}")
        page = f"# recsys.{name}\n\n```{{eval-rst}}\n.. automodule:: recsys.{name}\n   :members:\n```\n"
        _write(API / f"{name}.md", page)
    toctree = "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(MODULES) + "\n```\n"
    _write(API / "index.md", "# API\n\nEvery public module, in the order in which a benchmark uses them.\n\n" + toctree)
    for name, module in TABLES.items():
        _write(API / "tables" / f"{name}.md", _table(importlib.import_module(f"recsys.{module}")))
    _write(API / "tables" / "keys.md", _keys())
    _write(API / "tables" / "policy-keys.md", _policy_keys())
    _write(API / "tables" / "commands.md", _commands())
    _write(API / "tables" / "metrics.md", _metrics())
    _write(API / "tables" / "objectives.md", _objectives())
    for name, columns in RESULTS.items():
        _write(API / "tables" / f"result-{name}.md", _results(name, columns))
    tutorial = notebooks.write_as_markdown(HERE / "tutorial.ipynb")
    _write(API / "tutorial.md", re.sub(r"\]\((\w+\.md)", r"](../\1", tutorial))  # links are from one folder down
    for name, rows in read_facts().tables.items():
        head, *cells = (f"| {' | '.join(row)} |" for row in rows)
        _write(API / "tables" / f"discovery-{name}.md", "\n".join([head, "|" + "---|" * len(rows[0]), *cells, ""]))


@cache
def read_facts() -> lookups.Facts:
    """Return the numbers and claims of the paper; refuse texts that say what the results do not say."""
    facts = lookups.read_facts()
    if wrong := checks.find_all_problems(facts):
        raise ValueError("\n".join(wrong))
    return facts


def fill_results(app: Any, name: str, source: list[str]) -> None:
    """Put the results into the pages whose numbers and claims have names."""
    if f"docs/{name}.md" in checks.PAGES:
        source[0] = checks.fill_page(source[0], read_facts())


@functools.cache
def list_array_names() -> dict[str, str]:
    """Return the names that the source gives to types of arrays, by the text that Sphinx makes of each."""
    from sphinx.util.typing import stringify_annotation  # here: tests read this file without Sphinx

    return {
        stringify_annotation(alias, "smart"): name
        for name, alias in vars(arrays).items()
        if get_origin(alias) is np.ndarray and name != "NDArray"
    }


def shorten(app: Any, what: str, name: str, found: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Call arrays by the names of `recsys.types.arrays`; a record's fields are listed with their types below it."""
    if what == "class" and dataclasses.is_dataclass(found):
        return f"({', '.join(field.name for field in dataclasses.fields(found))})", None
    for spelled, name_of_array in list_array_names().items():
        signature, returns = (text and text.replace(spelled, name_of_array) for text in (signature, returns))
    return signature, returns


def add_fields(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Add the fields of a record to its docstring, each with the comment that stands beside it in the source."""
    if what != "class" or not dataclasses.is_dataclass(found):
        return
    for field in dataclasses.fields(found):
        kind, comment = _declared(found, field.name)
        default = "" if field.default is dataclasses.MISSING else f" = `{field.default!r}`"
        lines.append(f"* `{field.name}`: `{kind}`{default}" + (f", {comment}" if comment else ""))
    lines.append("")


def read_markdown(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Turn `code` into literals and escape what reStructuredText would take for markup, outside doctests."""
    paragraphs = "\n".join(lines).split("\n\n")
    lines[:] = "\n\n".join(p if ">>>" in p else _marked(p, "``", r"[|\\]|\*(?=\S)|_(?!\w)") for p in paragraphs).split(
        "\n"
    )


def _table(module: ModuleType) -> str:
    rows = [f"| `{name}` | {_first_line(getattr(module, name))} |" for name in sorted(module.__all__)]
    return "\n".join(["| name | what it is |", "|---|---|", *rows]) + "\n"


def _results(name: str, columns: dict[str, str]) -> str:
    """Return the table of a results file with `columns`, missing values left out, and a line that names the file."""
    import pandas as pd

    table = pd.read_csv(RESULTS_FOLDER / f"{name}.csv")
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in table.to_dict("records"):
        cells = [text.format(**row) for text in columns.values()]
        rows.append(f"| {' | '.join('' if NAN.search(cell) else _prose(cell) for cell in cells)} |")
    return "\n".join([*rows, "", f"All columns are in `benchmarks/results/{name}.csv`."]) + "\n"


def _metrics() -> str:
    """Return a section for each module of metrics, and in it each metric with what its docstring says in fields."""
    from recsys import metrics

    homes: dict[str, list[str]] = {}
    for name in metrics.__all__:
        homes.setdefault(getattr(metrics, name).__module__, []).append(name)
    parts = []
    for home in sorted(homes):
        title = home.rpartition(".")[2].replace("_", " ").capitalize()
        parts += [f"### {title}", "", _first_line(importlib.import_module(home)), ""]
        for name in homes[home]:
            found = getattr(metrics, name)
            said = fields(found, FIELDS)
            parts += [f"#### `{name}`", "", _first_line(found), "", _formula("metrics", name, said), ""]
            parts += [f"* {field.lower()}: {_prose(said[field])}" for field in FIELDS[1:]] + [""]
    return "\n".join(parts)


def _objectives() -> str:
    """Return a section for each objective: its docstring's fields, and shape and settings from its signature."""
    from recsys import objectives

    parts = []
    for name in sorted(objectives.__all__):
        found = getattr(objectives, name)
        said = fields(found, OBJECTIVE_FIELDS)
        shape = getattr(inspect.signature(found).return_annotation, "__name__", "one of several")
        parts += [f"### `{name}`", "", _first_line(found), "", _formula("objectives", name, said), ""]
        parts += [
            f"* {label}: {_prose(said[field])}" for field, label in zip(OBJECTIVE_FIELDS[1:], LABELS, strict=True)
        ]
        parts += [f"* shape: `{shape}`"]
        parts += [f"* `{setting} = {default!r}`: {what}" for setting, (default, what) in settings(found).items()] + [""]
    return "\n".join(parts)


def settings(found: Any) -> dict[str, tuple[Any, str]]:
    """Return the default and the meaning of each setting of an objective, "" where nothing says what it means."""
    args = inspect.getdoc(found).partition("\nArgs:\n")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^ {4}(\w+): (.*)$", args, re.MULTILINE))
    keywords = [p for p in inspect.signature(found).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: (p.default, _prose(told[p.name]) if p.name in told else SETTINGS.get(p.name, "")) for p in keywords}


def _formula(kind: str, name: str, said: dict[str, str]) -> str:
    latex = FORMULAS[kind].get(name)
    return f"$$\n{latex}\n$$" if latex else _prose(said["Formula"])


def _commands() -> str:
    """Return a section for each command: what its help says, and its options."""
    import click

    from recsys.cli import cli

    def leaves(group: Any, *above: str) -> list[tuple[str, Any]]:
        if not isinstance(group, click.Group):
            return [(" ".join(above), group)]
        return [leaf for name, below in sorted(group.commands.items()) for leaf in leaves(below, *above, name)]

    parts = []
    for name, command in leaves(cli, "recsys"):
        arguments = [p.make_metavar(click.Context(command)) for p in command.params if p.param_type_name == "argument"]
        parts += [f"### `{' '.join([name, *arguments])}`", "", _prose(inspect.cleandoc(command.help or "")), ""]
        for option in command.params:
            if option.param_type_name == "option":
                flags = ", ".join([*option.opts, *option.secondary_opts])
                parts.append(f"* `{flags}`: {_prose(option.help or '')}")
        parts.append("")
    return "\n".join(parts)


def fields(found: Any, expected: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what a docstring says in lines such as ":Range: [0, 1]"; refuse one that lacks an `expected` line."""
    said = {name: re.sub(r"\s+", " ", text) for name, text in FIELD.findall(inspect.getdoc(found) or "")}
    lacking = [name for name in expected if name not in said]
    if lacking:
        raise ValueError(f"the docstring of {found.__module__}.{found.__name__} has no line :{lacking[0]}:")
    return said


def _keys() -> str:
    """Return a table of keys for every section of a config, and one for the keys outside of sections."""
    from pydantic import BaseModel

    from recsys.configs import Config

    def find_section(kind: Any) -> Any:
        """Return the section that a field holds, or may hold; None for other fields."""
        kinds = [one for one in get_args(kind) or (kind,) if one is not type(None)]
        found = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
        return found[0] if len(kinds) == len(found) == 1 else None

    outside = {name for name, field in Config.model_fields.items() if find_section(field.annotation) is None}
    parts = ["Outside of sections:", "", *_key_rows(Config, outside)]
    for name, field in Config.model_fields.items():
        if (section := find_section(field.annotation)) is not None:
            parts += ["", f"`[{name}]`: {_first_line(section)}", "", *_key_rows(section, set(section.model_fields))]
    return "\n".join(parts) + "\n"


def _policy_keys() -> str:
    """Return a table of the keys of a policy, and one of its limits."""
    from recsys.data import CheckLimits, CheckPolicy

    parts = []
    for title, kind in (
        ("Outside of sections:", CheckPolicy),
        (f"`[limits]`: {_first_line(CheckLimits)}", CheckLimits),
    ):
        parts += [title, "", "| key | type | default | what it is |", "|---|---|---|---|"]
        for field in dataclasses.fields(kind):
            declared, comment = _declared(kind, field.name)
            default = "" if field.default in (None, dataclasses.MISSING) else f"`{field.default!r}`"
            if field.name != "limits":
                shown = declared.removesuffix(" | None").replace("|", BAR)
                parts.append(f"| `{field.name}` | `{shown}` | {default} | {_prose(comment)} |")
        parts.append("")
    return "\n".join(parts)


def _key_rows(section: Any, names: set[str]) -> list[str]:
    rows = ["| key | type | default | what it is |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        if name in names:
            kind, comment = _declared(section, name)
            made = field.default_factory is not None or field.default is None
            default = "required" if field.is_required() else "" if made else f"`{field.default!r}`"
            rows.append(
                f"| `{name}` | `{kind.removesuffix(' | None').replace('|', BAR)}` | {default} | {_prose(comment)} |"
            )
    return rows


def _declared(found: type, field: str) -> tuple[str, str]:
    """Return how a class declares `field`: its type, and the comment beside it, "" where there is none."""
    for home in found.__mro__[:-1]:
        source = inspect.getsource(home)
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == field:
                lines = source.splitlines()
                above, beside = lines[node.lineno - 2].strip(), lines[(node.end_lineno or 0) - 1].partition("# ")[2]
                return ast.unparse(node.annotation), beside or (above[2:] if above.startswith("# ") else "")
    raise LookupError(f"{found} does not declare {field}")


def _first_line(found: Any) -> str:
    line = (inspect.getdoc(found) or "").partition("\n")[0].removeprefix("Return ")
    return _prose(line[:1].upper() + line[1:])


def _prose(text: str) -> str:
    return _marked(text, "`", r"[|\\*_<\[]")


def _marked(text: str, ticks: str, special: str) -> str:
    """Return `text` with its code between `ticks`, and `special` characters escaped elsewhere."""
    parts = text.replace("``", "`").split("`")
    prose = [re.sub(special, r"\\\g<0>", part) for part in parts[::2]]
    code = [f"{ticks}{part}{ticks}" for part in parts[1::2]]
    return "".join(piece for pair in zip(prose, [*code, ""], strict=True) for piece in pair)


def _write(path: Path, text: str) -> None:
    """Write only what changed, so that an unchanged page is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
