"""Every kind of PII, and what finds it: to add one, write `kinds/<kind>.py` and a line here.

The order is that of priority: where two spans are equally long, the earlier kind has it, so the
stricter the check, the earlier. Length comes before priority.
"""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from pipeline.suggest import did_you_mean
from pipeline.text.pii.kinds.assigned_secret import ASSIGNED_SECRET
from pipeline.text.pii.kinds.brazil import BR_BARE_CPF, BR_CPF
from pipeline.text.pii.kinds.credit_card import CREDIT_CARD, MAESTRO
from pipeline.text.pii.kinds.crypto import BITCOIN, ETHEREUM, SEGWIT
from pipeline.text.pii.kinds.date_of_birth import DATE_OF_BIRTH
from pipeline.text.pii.kinds.driver_license import DRIVER_LICENSE
from pipeline.text.pii.kinds.email import EMAIL, EMAIL_ESCAPED
from pipeline.text.pii.kinds.france import FR_CORSICAN_NIR, FR_NAMED_NIR, FR_NIR
from pipeline.text.pii.kinds.geo import IN_MAP, LABELLED, NAMED_PAIR, WITH_SIGNS
from pipeline.text.pii.kinds.germany import DE_TAX_ID
from pipeline.text.pii.kinds.iban import IBAN
from pipeline.text.pii.kinds.india import IN_AADHAAR, IN_PAN
from pipeline.text.pii.kinds.ip import IPV4, IPV6
from pipeline.text.pii.kinds.italy import IT_CODICE_FISCALE
from pipeline.text.pii.kinds.mac import MAC
from pipeline.text.pii.kinds.medical_record import MEDICAL_RECORD
from pipeline.text.pii.kinds.netherlands import NL_BSN
from pipeline.text.pii.kinds.passport import PASSPORT
from pipeline.text.pii.kinds.phone import PHONE_REGIONS, phones
from pipeline.text.pii.kinds.poland import PL_PESEL
from pipeline.text.pii.kinds.private_ip import PRIVATE_IPV4, PRIVATE_IPV6
from pipeline.text.pii.kinds.private_key import PRIVATE_KEY
from pipeline.text.pii.kinds.secret import SECRET
from pipeline.text.pii.kinds.spain import ES_DNI, ES_NAMED_DNI, ES_NAMED_NIE, ES_NIE
from pipeline.text.pii.kinds.street_address import GERMAN, GERMAN_WITH_TOWN, NUMBER_FIRST
from pipeline.text.pii.kinds.uk import UK_NAMED_NINO, UK_NHS, UK_NINO
from pipeline.text.pii.kinds.url_credentials import URL_PARAMETER, URL_USER_INFO
from pipeline.text.pii.kinds.us_ssn import US_NAMED_SSN, US_SSN
from pipeline.text.pii.recognizer import Recognizer

KINDS: Mapping[str, tuple[Recognizer, ...]] = {
    "email": (EMAIL, EMAIL_ESCAPED),
    "url_credentials": (URL_USER_INFO, URL_PARAMETER),
    "secret": (SECRET, PRIVATE_KEY, ASSIGNED_SECRET),
    "iban": (IBAN,),
    "crypto": (BITCOIN, SEGWIT, ETHEREUM),
    "in_aadhaar": (IN_AADHAAR,),
    "credit_card": (CREDIT_CARD, MAESTRO),
    "it_codice_fiscale": (IT_CODICE_FISCALE,),
    "fr_nir": (FR_NIR, FR_CORSICAN_NIR, FR_NAMED_NIR),
    "es_nie": (ES_NIE, ES_NAMED_NIE),
    "es_dni": (ES_DNI, ES_NAMED_DNI),
    "br_cpf": (BR_CPF, BR_BARE_CPF),
    "de_tax_id": (DE_TAX_ID,),
    "pl_pesel": (PL_PESEL,),
    "in_pan": (IN_PAN,),
    "uk_nhs": (UK_NHS,),
    "uk_nino": (UK_NINO, UK_NAMED_NINO),
    "nl_bsn": (NL_BSN,),
    "us_ssn": (US_SSN, US_NAMED_SSN),
    "ip": (IPV4, IPV6),
    "private_ip": (PRIVATE_IPV4, PRIVATE_IPV6),
    "mac": (MAC,),
    "passport": (PASSPORT,),
    "driver_license": (DRIVER_LICENSE,),
    "medical_record": (MEDICAL_RECORD,),
    "date_of_birth": (DATE_OF_BIRTH,),
    "geo": (LABELLED, NAMED_PAIR, IN_MAP, WITH_SIGNS),
    "street_address": (NUMBER_FIRST, GERMAN, GERMAN_WITH_TOWN),
    "phone": phones(PHONE_REGIONS),
}

# found only where a manifest names them: they say nothing of a person
OPT_IN = frozenset({"private_ip"})
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind not in OPT_IN)

RECOGNIZERS: tuple[Recognizer, ...] = tuple(each for every in KINDS.values() for each in every)


def recognizers_of(
    kinds: Collection[str], phone_regions: tuple[str, ...] = PHONE_REGIONS
) -> list[Recognizer]:
    """What finds these kinds, in order of priority; telephone numbers are those of the regions."""
    own = {**KINDS, "phone": phones(phone_regions)}
    return [each for kind, every in own.items() if kind in kinds for each in every]


def _known(kind: str) -> str:
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise ValueError(f"got {kind!r}{hint}; want of {', '.join(KINDS)}")
    return kind


Kind = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(KINDS)})
]
