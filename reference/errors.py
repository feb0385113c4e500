"""Every public error: its exit code, what it means, where it is raised, and how to mend it."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc, getmembers, isclass
from pathlib import Path

from reference.markdown import code, page, prose

ROOT = Path(__file__).parents[1]
TREES = {"prepare": "pipeline.errors", "filters": "filters.errors", "train": "training.errors"}
CURE = "Cure: "

INTRODUCTION = """\
# Errors and their cures

A message says where, what was got, what is wanted and how to mend it. Exit code 2: the command or
its input is wrong, and nothing was begun. Exit code 1: the data or the run failed a check; what
was finished before stays, and the same command goes on from there.
"""


@dataclass(frozen=True)
class Known:
    """One class of error; `places` are the modules that raise it."""

    name: str
    exit_code: int
    meaning: str
    cure: str
    places: tuple[str, ...]


def errors_page() -> str:
    """The reference of errors."""
    parts = [INTRODUCTION]
    for command, module in TREES.items():
        parts += [f"## {command}", f"```text\n{_tree(module)}\n```"]
        parts += [section(known) for known in errors(module)]
    return page(*parts)


def section(known: Known) -> str:
    """One class."""
    places = ", ".join(code(place) for place in known.places)
    facts = [f"**Exit code** {known.exit_code}.", f"**Cure:** {prose(known.cure)}"]
    facts += [f"**Raised in** {places}."] if places else []
    lines = "\n".join(f"- {' '.join(fact.split())}" for fact in facts)
    return page(f"### {known.name}", prose(known.meaning), lines).rstrip("\n")


def errors(module: str) -> Iterator[Known]:
    """The public errors of a module, bases before what is made of them."""
    found = importlib.import_module(module)
    classes = [
        item for _, item in getmembers(found, isclass)
        if item.__module__ == module and issubclass(item, Exception)
    ]  # fmt: skip
    for item in sorted(classes, key=lambda each: len(each.__mro__)):
        meaning, _, cure = cleandoc(item.__doc__ or "").partition(CURE)
        places = tuple(sorted(raised().get(item.__name__, {}).get(module.partition(".")[0], ())))
        yield Known(item.__name__, exit_code(item), meaning.strip(), cure.strip(), places)


def exit_code(error: type[Exception]) -> int:
    """As the commands have it: what is wrong with the command or its input is a `ValueError`."""
    return 2 if issubclass(error, ValueError) or error.__name__ == "FilterLoadError" else 1


@cache
def raised() -> dict[str, dict[str, set[str]]]:
    """Name of an error -> package whose error it is -> modules that raise it by that name."""
    found: dict[str, dict[str, set[str]]] = {}
    for path in sorted(path for name in ("pipeline", "filters", "training")
                       for path in (ROOT / name).rglob("*.py")):  # fmt: skip
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owners = _owners(tree)
        for name in _raised_names(tree) & owners.keys():
            place = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            found.setdefault(name, {}).setdefault(owners[name], set()).add(place)
    return found


def _owners(tree: ast.Module) -> dict[str, str]:
    """Imported name -> package of the error tree that it is from."""
    return {
        alias.name: node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in TREES.values()
        for alias in node.names
    }


def _raised_names(tree: ast.Module) -> set[str]:
    """Names that a module constructs, or hands to what raises, as `error=ManifestError`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    built = [call.func for call in calls]
    handed = [keyword.value for call in calls for keyword in call.keywords]
    return {node.id for node in (*built, *handed) if isinstance(node, ast.Name)}


def _tree(module: str) -> str:
    """The drawing in the module's docstring."""
    text = cleandoc(importlib.import_module(module).__doc__ or "")
    lines = text.splitlines()
    last = max(number for number, line in enumerate(lines) if "──" in line)
    first = min(number for number, line in enumerate(lines) if line and number and "Error" in line)
    return cleandoc("\n".join(lines[first : last + 1]))
