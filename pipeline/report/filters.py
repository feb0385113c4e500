"""What `prepare filters` prints."""

from rich.console import Console
from rich.table import Table

from filters.registry import describe, names


def describe_filters(name: str | None, console: Console) -> None:
    """All filters, a line each; or one with its parameters. Raises `FilterConfigError`."""
    if name is None:
        table = Table("filter", "what it keeps", title="Filters", title_justify="left")
        for known in names():
            table.add_row(known, describe(known).summary)
        console.print(table)
        return
    description = describe(name)
    console.print(description.documentation, highlight=False)
    table = Table("parameter", "type", "default")
    for parameter in description.parameters:
        table.add_row(
            parameter.name,
            parameter.type,
            "required" if parameter.required else repr(parameter.default),
        )
    console.print(table)
