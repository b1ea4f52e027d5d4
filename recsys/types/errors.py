"""The one error a user of the library meets, the nearest valid name, and advice in the caller's own words."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from typing import Literal, NamedTuple

from recsys.escaping import convert_to_one_line
from recsys.types.secrets import mask_url_secrets

MAX_LISTED_NAMES = 16  # a list of more names than this is cut to the nearest
N_NEAREST_NAMES = 5
MAX_SHOWN_CHARACTERS = 100  # characters of an unknown name that are shown

Idiom = Literal["python", "config", "command"]


class RecsysError(ValueError):
    """A mistake of the caller in one line: the place, what was found, what was expected.

    The command line prints the line and exits with code 2. Hidden characters of foreign text in it are written out,
    and passwords of URLs are masked.
    """

    def __init__(self, line: object) -> None:
        """Keep the line."""
        super().__init__(mask_url_secrets(convert_to_one_line(str(line))))


def describe_error(error: BaseException) -> str:
    """Return why something failed, in one line of at most 500 characters; errors that are not ours by their kind.

    >>> describe_error(KeyError("gone")), describe_error(RecsysError("k is 0,\\n expected more"))
    ("KeyError: 'gone'", 'k is 0, expected more')
    """
    said = convert_to_one_line(str(error))
    if not isinstance(error, RecsysError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return mask_url_secrets(said)[:500]


def is_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C led to an error: the error is the interrupt, or was raised while one was handled.

    >>> is_interrupted(KeyboardInterrupt()), is_interrupted(OSError())
    (True, False)
    """
    return error is not None and (isinstance(error, KeyboardInterrupt) or is_interrupted(error.__context__))


class Setting(NamedTuple):
    """A setting that decides what a reader cannot: its Python name, its value, and the field it is for, if any."""

    name: str
    value: object
    field: str = ""

    def format_for(self, idiom: Idiom) -> str:
        """Return the setting as written in Python, in a config or on the command line.

        >>> one = Setting("columns", "client", "user_id")
        >>> one.format_for("python"), one.format_for("config"), one.format_for("command")
        ('columns={"user_id": "client"}', '[data.columns] user_id = "client"', '--column user_id=client')
        >>> Setting("header", False).format_for("command"), Setting("time_unit", "ms").format_for("config")
        ('--no-header', '[data] time_unit = "ms"')
        """
        if idiom == "python":
            value = f'{{"{self.field}": {_quote_python(self.value)}}}' if self.field else _quote_python(self.value)
            return f"{self.name}={value}"
        if idiom == "config":
            value = json.dumps(self.value, ensure_ascii=False)
            return f"[data.{self.name}] {self.field} = {value}" if self.field else f"[data] {self.name} = {value}"
        option = "--" + (self.name.removesuffix("s") if self.field else self.name).replace("_", "-")
        if isinstance(self.value, bool):
            return option if self.value else option.replace("--", "--no-", 1)
        value = _quote_shell("tab" if self.value == "\t" else str(self.value))
        return f"{option} {self.field}={value}" if self.field else f"{option} {value}"


class SettingError(RecsysError):
    """A RecsysError whose line names settings that decide.

    `rephrase_setting_errors` says them in the words of the caller.
    """

    def __init__(self, before: str, *settings: Setting, after: str = "", idiom: Idiom = "python") -> None:
        """Say `before`, the settings joined by "or", and `after`."""
        told = " or ".join(one.format_for(idiom) for one in settings)
        super().__init__(f"{before}{told}{after}")
        self._parts = before, settings, after

    def rephrase_for(self, idiom: Idiom) -> "SettingError":
        """Return the same error in another idiom."""
        before, settings, after = self._parts
        return SettingError(before, *settings, after=after, idiom=idiom)


@contextmanager
def rephrase_setting_errors(idiom: Idiom) -> Iterator[None]:
    """Say settings in errors as the caller writes them: in Python, in a config, or on the command line."""
    try:
        yield
    except SettingError as error:
        raise error.rephrase_for(idiom) from error.__cause__


class RecsysWarning(UserWarning):
    """A note on a result in one line; the command line prints it and goes on."""


def check_choice(kind: str, found: object, known: Iterable[str], where: str = "") -> None:
    """Refuse a value that is none of the names in `known`; `kind` and `where` describe it in the error.

    >>> check_choice("order", "gain", ["gain", "relevance"], where="slate")

    Raises:
        RecsysError: naming the nearest one.
    """
    names = list(known)
    if not isinstance(found, str) or found not in names:
        raise make_unknown_name_error(kind, found, names, where)


def make_unknown_name_error(kind: str, name: object, known: Iterable[str], where: str = "") -> RecsysError:
    """Return the error for a name that does not exist, with the nearest one that does.

    >>> print(make_unknown_name_error("objective", "novelti", ["novelty", "noise"]))
    unknown objective 'novelti': did you mean 'novelty'? (known: noise, novelty)
    """
    names, said = sorted(known), f"{name}"[:MAX_SHOWN_CHARACTERS]
    close = get_close_matches(said, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    place = f"{where}: " if where else ""
    return RecsysError(f"{place}unknown {kind} '{said}': {hint}({list_nearest_names('known', names, said)})")


def list_nearest_names(label: str, names: Iterable[str], target: str) -> str:
    """Return names for an error: all of a short list in their order, the nearest five of a long one.

    >>> list_nearest_names("known", ["b", "a"], "x"), list_nearest_names("columns", (f"c{n}" for n in range(64)), "c7")
    ('known: b, a', 'columns nearest to it, of 64: c7, c17, c27, c37, c47')
    """
    names = list(names)
    if len(names) <= MAX_LISTED_NAMES and sum(map(len, names)) <= 400:
        return f"{label}: {', '.join(names)}"
    order = sorted(names, key=lambda one: -SequenceMatcher(None, target.lower(), one.lower()).ratio())
    return f"{label} nearest to it, of {len(names)}: {', '.join(one[:60] for one in order[:N_NEAREST_NAMES])}"


def _quote_python(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _quote_shell(value: str) -> str:
    import shlex

    return shlex.quote(value)
