"""All generated pages, by their path below `docs/`."""

from collections.abc import Callable
from pathlib import Path

from reference.commands import commands_page
from reference.configs import manifest_page, train_config_page
from reference.decisions import decisions_page
from reference.errors import errors_page

ROOT = Path(__file__).parents[1]

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/manifest.md": manifest_page,
    "reference/train_config.md": train_config_page,
    "reference/errors.md": errors_page,
    "decisions/index.md": lambda: decisions_page(ROOT / "docs" / "decisions"),
}


def pages() -> dict[str, str]:
    """Path below `docs/` -> Markdown."""
    return {path: make() for path, make in PAGES.items()}
