"""The one error a user of the library meets, the nearest valid name, and advice in the caller's own words."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from typing import Literal, NamedTuple

from recsys.escaping import convert_to_one_line
from recsys.types.secrets import mask_url_secrets

MAX_LISTED_NAMES = 16  # a list of more names than this is cut to the nearest
N_NEAREST_NAMES = 5
MAX_SHOWN_CHARACTERS = 100  # characters of an unknown name that are shown

Idiom = Literal["python", "config", "command", "table"]


class RecsysError(ValueError):
    """A mistake of the caller in one line: the place, what was found, what was expected.

    The command line prints the line and exits with code 2. Hidden characters of foreign text in it are written out,
    and passwords of URLs are masked.
    """

    def __init__(self, line: object) -> None:
        """Keep the line."""
        super().__init__(mask_url_secrets(convert_to_one_line(str(line))))


def describe_error(error: Exception) -> str:
    """Return why something failed, in one line of at most 500 characters; errors that are not ours by their kind.

    >>> describe_error(KeyError("gone")), describe_error(RecsysError("k is 0,\\n expected more"))
    ("KeyError: 'gone'", 'k is 0, expected more')
    """
    said = convert_to_one_line(str(error))
    if not isinstance(error, RecsysError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return mask_url_secrets(said)[:500]


@contextmanager
def restore_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt in place of an error that came up while one was on its way.

    A `finally` that closes a half-written archive or gives back a lock may fail itself, and its error is what is raised
    then: whoever goes on after errors, or tells them in a line, would go on after an interrupt.
    """
    around = sys.exception()  # what is handled while the block begins is no interrupt of it
    try:
        yield
    except Exception as error:
        if _follows_interrupt(error, around):
            raise KeyboardInterrupt from error
        raise


def _follows_interrupt(error: BaseException, around: BaseException | None) -> bool:
    before, seen = error.__context__, {id(error), id(around)}
    while before is not None and id(before) not in seen:
        if isinstance(before, KeyboardInterrupt):
            return True
        seen.add(id(before))
        before = before.__context__
    return False


class Setting(NamedTuple):
    """An argument that decides: its Python name, its value (None: any), and the field it is for, if any."""

    name: str
    value: object = None
    field: str = ""

    @property
    def option(self) -> str:
        """The option of the command line.

        >>> Setting("columns", "client", "user_id").option, Setting("allow_imports").option, Setting("known").option
        ('--column', '--allow-import', '--known')
        """
        is_repeated = self.field or self.name == "allow_imports"
        return "--" + (self.name.removesuffix("s") if is_repeated else self.name).replace("_", "-")

    def format_for(self, idiom: Idiom, section: str = "data") -> str:
        """Return the setting as written in Python, in a config, on the command line, or as a change of the table.

        >>> one = Setting("columns", "client", "user_id")
        >>> one.format_for("python"), one.format_for("config"), one.format_for("command")
        ('columns={"user_id": "client"}', '[data.columns] user_id = "client"', '--column user_id=client')
        >>> Setting("header", False).format_for("command"), Setting("time_unit", "ms").format_for("config", "shown")
        ('--no-header', '[shown] time_unit = "ms"')
        >>> one.format_for("table"), Setting("header", False).format_for("table"), Setting("data").format_for("table")
        ("'user_id' instead of 'client' in the table", 'give Parquet', 'data= in Python')
        """
        if idiom == "python":
            value = f'{{"{self.field}": {_quote_python(self.value)}}}' if self.field else _quote_python(self.value)
            return f"{self.name}={'' if self.value is None else value}"
        if idiom == "config":
            value = json.dumps(self.value, ensure_ascii=False)
            return (
                f"[{section}.{self.name}] {self.field} = {value}"
                if self.field
                else f"[{section}] {self.name} = {value}"
            )
        if idiom == "table":
            return self._describe_change()
        if self.value is None or isinstance(self.value, bool):
            return self.option.replace("--", "--no-", 1) if self.value is False else self.option
        value = _quote_shell("tab" if self.value == "\t" else str(self.value))
        return f"{self.option} {self.field}={value}" if self.field else f"{self.option} {value}"

    def _describe_change(self) -> str:
        """Return what to do to a table where nothing takes the setting."""
        if self.field and str(self.value).isdecimal():
            return f"'{self.field}' above column {self.value} in a header line"
        if self.field:
            return f"'{self.field}' instead of '{self.value}' in the table"
        if self.value is None:
            return f"{self.name}= in Python"
        return "write times in ISO 8601" if self.name.startswith("time_") else "give Parquet"


class SettingError(RecsysError):
    """A RecsysError whose line names settings that decide, in Python's words.

    `rephrase_setting_errors`, and the command line, say them in those of the caller.
    """

    def __init__(self, before: str, *settings: Setting, after: str = "") -> None:
        """Say `before`, the settings joined by "or", and `after`."""
        super().__init__(f"{before}{' or '.join(one.format_for('python') for one in settings)}{after}")
        self._parts = before, settings, after

    def rephrase_for(self, idiom: Idiom, section: str = "data", options: Collection[str] | None = None) -> RecsysError:
        """Return the error in another idiom, for good.

        `section` is the one of a config, `options` those that a command has (None: all). Of what it has not, the table
        has to be changed.
        """
        before, settings, after = self._parts
        told, is_changed = list[str](), False
        for one in settings:
            own = "table" if idiom == "command" and options is not None and one.option not in options else idiom
            told.append(one.format_for(own, section))
            is_changed |= own == "table" and not one.field
        return RecsysError(f"{before}{' or '.join(dict.fromkeys(told))}{'' if is_changed else after}")


@contextmanager
def rephrase_setting_errors(idiom: Idiom, section: str = "data") -> Iterator[None]:
    """Say settings in errors as the caller writes them.

    In Python, in a section of a config, on the command line, or, where nothing takes them, as changes of the table.
    """
    try:
        yield
    except SettingError as error:
        raise error.rephrase_for(idiom, section) from error.__cause__


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
