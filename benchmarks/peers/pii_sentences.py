"""Labelled sentences: presidio-evaluator's templates and our own, filled in ten locales.

    python pii_sentences.py OUT NUM_ROUNDS SEED

In each round every template is filled once, the locale going round. OUT gets a JSON object a line:
`text`, `locale`, `template`, and `spans`, each [begin, end in characters, kind, scored]. Run by an
interpreter that has presidio-evaluator 0.3, Faker, phonenumbers, python-stdnum, base58, bech32 and
pycryptodome.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import presidio_evaluator.data_generator
from pii_values import LOCALES, MAKERS, Person, Value

_SLOT = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_THEIRS = presidio_evaluator.data_generator.presidio_templates_file_path
_OURS = Path(__file__).with_name("pii_templates.txt")
# Fillers that are nobody's data by themselves, by Faker's names for them
_FILLERS = {
    "person": "name",
    "name_male": "name",
    "name_female": "name",
    "first_name_nonbinary": "first_name",
    "last_name_male": "last_name",
    "last_name_female": "last_name",
    "prefix_male": "prefix",
    "prefix_female": "prefix",
    "date_time": "date",
    "zipcode": "postcode",
}
_PEOPLES = ("Canadian", "Dutch", "Greek", "Indian", "Kenyan", "Peruvian", "Turkish")
# Pieces of an address: finding them is right, not finding them no fault
_PIECES = frozenset({"building_number", "street_name", "secondary_address", "postcode", "zipcode"})
# What may be taken for another kind without fault: user:password@host reads as an address
_OTHER_KINDS = {"url_credential": "email", "url_token": "secret"}
_NO_BIRTH = "It's like that since"  # of their templates: a date, but nothing says of birth


def main() -> None:
    """Write the sentences."""
    out, num_rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    random.seed(seed)  # presidio-evaluator's providers throw these dice
    draw = random.Random(seed)
    people = [Person(locale, draw) for locale in LOCALES]
    with open(out, "w", encoding="utf-8") as handle:  # noqa: PTH123
        for number in range(num_rounds):
            for index, template in enumerate(templates()):
                person = people[(index + number) % len(people)]
                sentence = {"locale": person.locale, "template": index, **fill(template, person)}
                handle.write(json.dumps(sentence, ensure_ascii=False) + "\n")


def templates() -> Iterator[str]:
    """Theirs, then ours; `\\n` is a line break in both, and theirs escape commas."""
    lines = [
        *_THEIRS.read_text(encoding="utf-8", errors="replace").splitlines(),
        *_OURS.read_text(encoding="utf-8").splitlines(),
    ]
    for line in lines:
        if line.strip() and not line.startswith("#"):
            yield line.replace("\\n", "\n").replace("\\,", ",")


def fill(template: str, person: Person) -> dict[str, Any]:
    """The text of one sentence and the spans of what was put into it."""
    text, spans, place = "", [], 0
    for slot in _SLOT.finditer(template):
        text += template[place : slot.start()]
        value = made(slot[1].lower(), template, person)
        if value.kind:
            kinds = {value.kind: value.scored}
            if slot[1] in _OTHER_KINDS:
                kinds[_OTHER_KINDS[slot[1]]] = False
            for kind, scored in kinds.items():
                spans.append([len(text), len(text) + len(value.text), kind, scored])
        text += value.text
        place = slot.end()
    return {"text": text + template[place:], "spans": spans}


def made(name: str, template: str, person: Person) -> Value:
    """A value for one slot; of no kind (`""`) if it is only a filler."""
    if name in MAKERS:
        value = MAKERS[name](person)
        return value._replace(scored=value.scored and not template.startswith(_NO_BIRTH))
    if name == "age":
        return Value(str(person.draw.randrange(1, 100)), "")
    if name.startswith("nation"):
        return Value(person.draw.choice(_PEOPLES), "")
    if name == "state_abbr":
        return Value(person.of("en_US").state_abbr(), "")
    if name == "prefix" or name.startswith("prefix_"):
        return Value(person.draw.choice(("Mr.", "Mrs.", "Dr.")), "")
    if name == "secondary_address":
        return Value(person.of("en_US").secondary_address(), "street_address", scored=False)
    found = str(getattr(person.faker, _FILLERS.get(name, name))())
    return Value(found, "street_address" if name in _PIECES else "", scored=False)


if __name__ == "__main__":
    main()
