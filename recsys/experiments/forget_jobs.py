"""What is pending after a forget, made anew: a job that goes on where it was killed, and writes a ranker at its end."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.configs import Config
from recsys.control.forgetting import FinishedForgets
from recsys.experiments.benchmark import resolve_config
from recsys.experiments.full_data import choose_run, fit_run_likelihood
from recsys.experiments.pipeline import load_dataset, split_dataset
from recsys.likelihoods import Likelihood
from recsys.maps import objective_maps
from recsys.rankers import Ranker
from recsys.rankers.fitting import MADE
from recsys.rankers.forgets import list_shared_parts
from recsys.rankers.part_stores import hold_parts
from recsys.rankers.remakes import PARTS, MapsFunction, Recipe, remake_ranker
from recsys.support.progress import show_progress, track_rounds
from recsys.support.serialization import flatten_record
from recsys.support.stored_arrays import hash_array
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Model, RecsysError, Split, check_choice
from recsys.types.errors import Setting, SettingError
from recsys.types.paths import check_path

_STEPS = ("model", "maps", "likelihood", "tables")


@dataclass(frozen=True)
class FinishResult:
    """What the job did: folder and policy of the ranker, and what became of its parts, None if nothing was pending."""

    folder: Path
    policy: str
    finished: FinishedForgets | None


@dataclass(frozen=True)
class ConfigRun:
    """A run of a config."""

    config: Config
    blend: str | None
    data_dir: Path | None
    quiet: bool

    def build_settings(self) -> Model:
        """Return the settings of its model."""
        spec = choose_run(self.config, self.blend)
        return (spec.model or self.config.model).build_model("[model]")

    def fit_likelihood(self, split: Split, forget_list: Path) -> Likelihood:
        """Return its likelihood for the items of a ranker, fitted without the rows that the list names.

        Raises:
            RecsysError: if the config has none, or its data has items that the ranker does not have.
        """
        section, spec = self.config.likelihood, choose_run(self.config, self.blend)
        if section is None:
            raise RecsysError(f"{self.config.name}: has no [likelihood], expected the config of the ranker")
        changed: dict[str, Any] = {"filter": self.config.filter.model_copy(update={"forget_list": str(forget_list)})}
        if self.config.time is not None and split.time_decay is not None:  # as the ranker has it
            changed["time"] = self.config.time.model_copy(update={"half_life": split.time_decay.half_life})
        settings = self.config.model_copy(update=changed)
        dataset = load_dataset(settings, self.data_dir, self.quiet)
        pool, model = spec.pool or settings.pool, spec.model or settings.model
        made = fit_run_likelihood(settings, section, dataset, model, pool)
        return made.move_to_items(split_dataset(settings, dataset).item_ids, split.item_ids)


def finish_forgets(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    forget_list: str | Path | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    blend: str | None = None,
    settings: Model | None = None,
    make_maps: MapsFunction | None = None,
    likelihood: Likelihood | None = None,
    keep: Collection[str] = (),
    remake: Collection[str] = (),
    allow_imports: Collection[str] = (),
    data_dir: str | Path | None = None,
    quiet: bool = False,
) -> FinishResult:
    """Make anew what is pending in the saved ranker in `folder`, and write the ranker in its place, or to `out`.

    The model forgets by `recsys.models.forgetting.forget_rows`; own maps, the likelihood, the index, scales and derived
    tables are made of the rows that are left, as `Ranker.fit` makes them. The ranker that is written has the
    certificate (`Ranker.finished_forgets`), and nothing is pending in it. It is written whole or not at all. Finished
    parts are kept beside it until then (FOLDER.unfinished), so that a job that was killed goes on with them; where
    nothing is pending, nothing is written.

    A ranker has the rows that it was fitted to, so that no data is needed but for a likelihood. What it does not know
    comes from `config`, a config as `recsys.bench` takes it, whose run is `blend`; a ranker that `recsys export` wrote
    has its config. `settings` are those of the model's fit, for models that have no update; `make_maps` makes own maps
    of the positives (U, I), `likelihood` is one that was fitted without the rows. `keep` names parts ("maps", "scales",
    "likelihood") that stay as they are, because no row of a user is in them; `remake` those ("maps", "scales") that
    were given to the ranker and are now made by `recsys.maps.objective_maps`, and fitted on the model's candidates.
    `forget_list` is where the list lies, if that is not where the ranker says.

    Raises:
        RecsysError: for a folder that is no saved ranker or follows no list, a part that nobody says how to make, a
            model that nobody has the settings of, another process that does the same, or as `Ranker.load` does.
    """
    source = check_path("folder", folder)
    target = source if out is None else check_path("out", out)
    with hold_parts(target) as open_store, limit_to_one_blas_thread():
        ranker = Ranker.load(source, allow_imports=allow_imports, forget_list=forget_list)
        state = ranker.forget_state
        if state is None:
            raise RecsysError(f"{source}: follows no forget list, expected forget_list=, or --list on the command line")
        if not ranker.pending_forgets:
            return FinishResult(source, ranker.name, None)
        run = find_run(ranker, config, blend, data_dir, quiet)
        recipe = _choose_recipe(ranker, run, settings, make_maps, likelihood, keep, remake, state.forget_list.path)
        told = [
            state.base.name,
            state.forget_list.keep(state.lines).digest,
            repr(recipe.settings),
            None if run is None else run.config.dump_settings(),
            sorted(keep),
            sorted(remake),
            None if likelihood is None else sorted(map(hash_array, flatten_record(likelihood).values())),
        ]
        with show_progress(quiet), track_rounds("forget", len(_STEPS)) as advance:
            made = remake_ranker(ranker, recipe, open_store(told), lambda name: advance())
        made.save(target)
    return FinishResult(target, made.name, made.finished_forgets)


def find_run(
    ranker: Ranker,
    config: Config | Mapping[str, Any] | str | Path | None,
    blend: str | None,
    data_dir: Any,
    quiet: bool,
) -> ConfigRun | None:
    """Return the run that a ranker was made by: of the given config, or of its own; None where there is neither."""
    found = ranker.about.get("config") if config is None else config
    if found is None:
        return None
    run = ranker.about.get("run") if blend is None and config is None else blend
    home = None if data_dir is None else Path(data_dir)
    return ConfigRun(resolve_config(found), None if run is None else str(run), home, quiet)


def _choose_recipe(
    ranker: Ranker, run: ConfigRun | None, settings: Model | None, make_maps: MapsFunction | None,
    likelihood: Likelihood | None, keep: Collection[str], remake: Collection[str], path: Path,
) -> Recipe:  # fmt: skip
    """Return how each part is made anew.

    Raises:
        RecsysError: for a part that nobody says how to make, or that is none.
    """
    for name, given, known in (("keep", keep, PARTS), ("remake", remake, ("maps", "scales"))):
        for part in given:
            check_choice("part", part, known, where=f"forget: {name}")
    there = list_shared_parts(ranker)
    refits = [part for part in ("maps", "scales") if _is_remade(ranker, part, there, keep, remake, make_maps)]
    return Recipe(
        settings=_find_settings(ranker, run, settings),
        make_maps=(make_maps or objective_maps) if "maps" in refits else None,
        has_own_maps=make_maps is not None,
        fits_scales="scales" in refits,
        make_likelihood=_choose_likelihood(ranker, run, likelihood, keep, path),
    )


def _is_remade(
    ranker: Ranker, part: str, there: Sequence[str], keep: Collection[str], remake: Collection[str],
    make_maps: MapsFunction | None,
) -> bool:  # fmt: skip
    """Return whether maps, or scales, are made anew.

    Raises:
        RecsysError: if nobody says how.
    """
    if part not in there or part in keep:
        return False
    if part == "scales" and ranker.model is None:
        raise SettingError(
            "forget: scales of a ranker without a model are of the caller's scores, expected them among those kept: ",
            Setting("keep"),
        )
    made_of = ranker.about.get("made_of") or {}
    if part in remake or (part == "maps" and make_maps is not None) or made_of.get(part) == MADE:
        return True
    raise SettingError(
        f"forget: the {part} of the ranker were given to it, expected {part} among those to keep, if no row of a user "
        "is in them, or to remake: ",
        Setting("keep"),
        Setting("remake"),
    )


def _find_settings(ranker: Ranker, run: ConfigRun | None, settings: Model | None) -> Model | None:
    if settings is not None or run is None or ranker.model is None:
        return settings
    return run.build_settings()


def _choose_likelihood(
    ranker: Ranker, run: ConfigRun | None, likelihood: Likelihood | None, keep: Collection[str], path: Path
) -> Callable[[Split], Likelihood] | None:
    """Return what makes the likelihood anew, None where there is none, or it is kept.

    Raises:
        RecsysError: if nobody says how.
    """
    if ranker.likelihood is None or "likelihood" in keep:
        return None
    if likelihood is not None:
        return lambda split: likelihood
    if run is None or run.config.likelihood is None:
        raise SettingError(
            "forget: the likelihood of the ranker is fitted anew, expected the config that it was made by, or "
            "likelihood among those to keep: ",
            Setting("config"),
            Setting("keep"),
        )
    return lambda split: run.fit_likelihood(split, path)
