"""What each labelled value is called by Headwater, and what it must reach."""

from typing import NamedTuple

from pipeline.text.pii.registry import KINDS


class Goal(NamedTuple):
    """Least recall and precision; None where the figure is reported and that is all."""

    recall: float
    precision: float


CHECKED = Goal(0.98, 0.98)  # a checksum decides
JUDGED = Goal(0.95, 0.95)  # grammar and context decide
# of kinds that have a label: its name there, where another, and its goal
GOALS: dict[str, Goal | None] = {
    "email": JUDGED,
    "phone": JUDGED,
    "ip": JUDGED,
    "private_ip": JUDGED,
    "mac": JUDGED,
    "credit_card": CHECKED,
    "iban": CHECKED,
    "us_ssn": JUDGED,
    "uk_nhs": CHECKED,
    "uk_nino": JUDGED,
    "de_tax_id": CHECKED,
    "fr_nir": CHECKED,
    "es_dni": CHECKED,
    "es_nie": CHECKED,
    "it_codice_fiscale": CHECKED,
    "nl_bsn": CHECKED,
    "pl_pesel": CHECKED,
    "br_cpf": CHECKED,
    "in_aadhaar": CHECKED,
    "in_pan": JUDGED,
    "passport": JUDGED,
    "driver_license": JUDGED,
    "date_of_birth": JUDGED,
    "medical_record": JUDGED,
    "street_address": None,
    "url_credentials": JUDGED,
    "secret": JUDGED,
    "crypto": CHECKED,
    "geo": JUDGED,
}
# The labels that `benchmarks/peers/presidio_pii.py` has a recogniser for
PRESIDIO = (
    "email",
    "phone",
    "ip",
    "mac",
    "credit_card",
    "iban",
    "us_ssn",
    "uk_nhs",
    "uk_nino",
    "de_tax_id",
    "es_dni",
    "es_nie",
    "it_codice_fiscale",
    "pl_pesel",
    "in_aadhaar",
    "in_pan",
    "crypto",
    "passport",
    "driver_license",
)
# Headwater's names, where they are not the label's
NAMES: dict[str, str] = {}


def kind_of(label: str) -> str:
    """What Headwater calls it; the label itself if it has no such kind."""
    return NAMES.get(label, label)


def has(label: str) -> bool:
    """Whether Headwater looks for it."""
    return kind_of(label) in KINDS
