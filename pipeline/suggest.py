"""What somebody meant who misspelt a name: one hint for keys, options, commands and sources."""

import difflib
from collections.abc import Iterable


def closest(got: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `got`, or None where none is."""
    names = list(known)
    same = [name for name in names if name.casefold() == got.casefold()]
    return next(iter(same or difflib.get_close_matches(got, names, n=1)), None)


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """` (did you mean 'name'?)`, to stand behind the wrong name; empty where none is like it."""
    name = closest(got, known)
    return "" if name is None else f" (did you mean {name!r}?)"
