"""datatrove's PII formatter: e-mail addresses and public IP addresses.

    python datatrove_pii.py TEXTS          serves rounds: `datatrove`
    python datatrove_pii.py TEXTS OUT      writes, for each text, [begin, end, kind, 1]...

TEXTS is a JSON list. Run by an interpreter that has datatrove 0.10.
"""

import json
import sys
from collections.abc import Iterator

from datatrove.pipeline.formatters.pii import PIIFormatter
from rounds import serve, texts


def spans(formatter: PIIFormatter, text: str) -> Iterator[list[object]]:
    """What each of its two replacers would replace."""
    for kind, replacer in (("email", formatter.emails_replacer), ("ip", formatter.ip_replacer)):
        for match in replacer.regex.finditer(text):
            if replacer.validator is None or replacer.validator(match[0]):
                yield [match.start(), match.end(), kind, 1]


def main() -> None:
    """Spans if there is a place to write them, else rounds."""
    found, formatter = texts(), PIIFormatter()
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as handle:  # noqa: PTH123
            json.dump([list(spans(formatter, text)) for text in found], handle)
        return

    def replace(wanted: list[str]) -> None:
        for text in wanted:
            formatter.format(text)

    replace(found[:1])
    serve({"datatrove": lambda: replace(found)})


if __name__ == "__main__":
    main()
