"""Invented German: a local paper of a town that does not exist, one short report at a time."""

import random

PLACES = (
    "am Rathaus",
    "im Stadtpark",
    "an der alten Mühle",
    "auf dem Marktplatz",
    "im Hafenviertel",
)
WHO = (
    "die Feuerwehr",
    "der Gesangverein",
    "die Stadtbibliothek",
    "der Gemeinderat",
    "die Grundschule",
    "das Heimatmuseum",
    "der Turnverein",
    "die Bürgermeisterin",
    "der Naturschutzbund",
    "die Volkshochschule",
)
WHEN = (
    "am vergangenen Sonntag",
    "in der Nacht zum Freitag",
    "seit Anfang des Monats",
    "gestern Nachmittag",
    "nach langer Vorbereitung",
    "trotz des schlechten Wetters",
    "zum zehnten Mal",
    "wie in jedem Jahr",
)
DID = (
    "ein Fest veranstaltet, zu dem mehr Gäste kamen als erwartet",
    "einen neuen Weg angelegt, der auch für Kinderwagen breit genug ist",
    "über die Kosten der neuen Brücke beraten und noch nichts entschieden",
    "alte Fotografien gezeigt, auf denen die Straßen kaum wiederzuerkennen sind",
    "zusammen mit vielen Freiwilligen das Ufer von Müll befreit",
    "einen Kurs angeboten, in dem man Gemüse ohne Gift anbauen lernt",
    "darauf hingewiesen, dass die Parkplätze im Winter nicht geräumt werden",
    "ein Konzert gegeben, das fast drei Stunden dauerte",
    "beschlossen, die Öffnungszeiten an den Wochenenden zu verlängern",
    "die Ergebnisse einer Umfrage vorgestellt, an der jeder vierte Haushalt teilnahm",
)
SAYINGS = (
    "„Wir hätten nicht gedacht, dass so viele mithelfen“, sagte eine der Verantwortlichen.",
    "Im nächsten Jahr soll alles etwas kleiner und dafür gemütlicher werden.",
    "Wer mitmachen möchte, kann sich bis zum Ende der Woche anmelden.",
    "Kritik gab es vor allem an den Preisen, die zum dritten Mal gestiegen sind.",
    "Ob das Geld dafür reicht, wird sich erst im Herbst zeigen.",
    "Die Anwohner wünschen sich seit Jahren eine ruhigere Lösung für den Verkehr.",
    "Für die Kinder war das Beste wie immer der Kuchen, von dem nichts übrig blieb.",
    "Das Wetter spielte mit, und erst gegen Abend begann es leicht zu regnen.",
    "Genaue Zahlen liegen noch nicht vor, weil einige Helfer noch nicht gezählt haben.",
    "Die Einnahmen werden gespendet, wie es in unserer Stadt seit langem üblich ist.",
    "An der Kreuzung davor musste die Straße für zwei Stunden gesperrt werden.",
    "Zum Schluss dankte man allen, die im Hintergrund geholfen haben.",
)


def report(chance: random.Random) -> str:
    """Two or three paragraphs, about 150 words."""
    paragraphs = []
    for _ in range(chance.randint(2, 3)):
        who = chance.choice(WHO)
        opening = f"{who[0].upper()}{who[1:]} hat {chance.choice(WHEN)} {chance.choice(PLACES)}"
        rest = " ".join(chance.sample(SAYINGS, 4))
        number = chance.randint(17, 960)
        crowd = f"Es kamen {number} Menschen, {chance.randint(3, number)} davon zum ersten Mal."
        paragraphs.append(f"{opening} {chance.choice(DID)}. {crowd} {rest}")
    return "\n\n".join(paragraphs)


def reports(num: int, seed: int) -> list[str]:
    """The same ones for the same seed."""
    chance = random.Random(f"reports {seed}")
    return [report(chance) for _ in range(num)]
