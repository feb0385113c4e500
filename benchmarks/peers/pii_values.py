"""Personal data of every kind, made up: by Faker where it can, else by the kind's own grammar.

Whether a value is `scored` is said by judges that are not of Headwater: phonenumbers, `ipaddress`,
python-stdnum. A value that its judge refuses (half of Faker's telephone numbers, private addresses)
is no goal for a recogniser: what becomes of it is reported apart.
"""

import ipaddress
import random
import string
from collections.abc import Callable
from typing import NamedTuple

import phonenumbers
from faker import Faker
from pii_tokens import CRYPTO, SECRETS, URLS
from presidio_evaluator.data_generator.faker_extensions.providers import (
    OrganizationProvider,
    PhoneNumberProviderNew,
    UsDriverLicenseProvider,
)
from stdnum import iban as iban_rules
from stdnum import luhn, verhoeff
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel

LOCALES = {
    "en_US": "US",
    "en_GB": "GB",
    "de_DE": "DE",
    "fr_FR": "FR",
    "es_ES": "ES",
    "it_IT": "IT",
    "nl_NL": "NL",
    "pl_PL": "PL",
    "pt_BR": "BR",
    "en_IN": "IN",
}
ADDRESS_LOCALES = ("en_US", "en_GB", "de_DE")  # the countries whose addresses have a pattern
BIRTH_FORMATS = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%d-%b-%Y",
)
# First six digits of American Express, Diners Club, Discover, JCB, Maestro, Mastercard, Visa: Faker
# makes cards of prefixes that nobody issues, too (3510, 0604)
ISSUERS = (
    (180000, 180099),
    (213100, 213199),
    (222100, 272099),
    (300000, 305999),
    (309500, 309599),
    (340000, 349999),
    (352800, 358999),
    (360000, 509999),
    (510000, 699999),
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class Value(NamedTuple):
    """What stands in the sentence, of which kind it is, and whether finding it counts."""

    text: str
    kind: str
    scored: bool = True


class Person:
    """One locale's Faker, and the dice that decide notations."""

    def __init__(self, locale: str, draw: random.Random) -> None:
        self.locale, self.draw = locale, draw
        self.faker = Faker(locale)
        self.faker.seed_instance(draw.getrandbits(32))
        self._others: dict[str, Faker] = {locale: self.faker}
        for provider in (OrganizationProvider, UsDriverLicenseProvider):
            self.faker.add_provider(provider)
        self.phones = PhoneNumberProviderNew(self.faker)

    def of(self, locale: str) -> Faker:
        """The Faker of a country: a Polish number is of Poland, wherever the sentence is from."""
        if locale not in self._others:
            self._others[locale] = Faker(locale)
            self._others[locale].seed_instance(self.draw.getrandbits(32))
        return self._others[locale]


def grouped(digits: str, sizes: tuple[int, ...], separator: str) -> str:
    """`digits` in groups of `sizes`, what is left as the last."""
    groups, begin = [], 0
    for size in (*sizes, len(digits)):
        groups.append(digits[begin : begin + size])
        begin += size
    return separator.join(filter(None, groups))


def _digits(draw: random.Random, num: int) -> str:
    return "".join(draw.choices(string.digits, k=num))


def email(person: Person) -> Value:
    found = person.faker.email(safe=False)
    local, _, domain = found.partition("@")
    notation = person.draw.random()
    if notation < 0.1:
        found = f"{local}+news@{domain}"
    elif notation < 0.2:
        found = f"{person.faker.user_name()}@mail.{domain}"
    elif notation < 0.25:
        found = found.upper()
    elif notation < 0.28:
        found = f"{local}@münchen-{domain}"
    return Value(found, "email")


def phone(person: Person) -> Value:
    """Half in the notations of the country, half in those of presidio-evaluator."""
    region = LOCALES[person.locale]
    own = person.draw.random() < 0.5
    found = person.faker.phone_number() if own else person.phones.phone_number()
    return Value(found, "phone", _is_phone(found, region))


def _is_phone(text: str, region: str) -> bool:
    """Whether phonenumbers holds it valid in that region; with a +, anywhere."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


_PRIVATE_SHARE = 0.1


def ip_address(person: Person) -> Value:
    notation = person.draw.random()
    if notation < _PRIVATE_SHARE:
        found = person.faker.ipv4_private()
    elif notation < 0.65:
        found = person.faker.ipv4_public()
    else:
        found = _ipv6(person)
    address = ipaddress.ip_address(found)
    public = address.is_global and not (address.is_multicast or address.is_reserved)
    if address.version == 6:
        public = public and address in _GLOBAL_UNICAST
    if address.version == 4 and notation < _PRIVATE_SHARE:
        return Value(found, "private_ip")
    return Value(found, "ip", public)


def _ipv6(person: Person) -> str:
    """Of a provider's range, so that it could be somebody's; half with `::`."""
    site = person.draw.choice(("2001:4860", "2a01:4f8", "2003:e9", "2600:1700", "2404:6800"))
    groups = [f"{person.draw.getrandbits(16):x}" for _ in range(6)]
    if person.draw.random() < 0.5:
        return f"{site}:{':'.join(groups[:3])}::{groups[3]}"
    return f"{site}:{':'.join(groups)}"


def mac(person: Person) -> Value:
    plain = person.faker.mac_address()
    notations = (plain, plain.upper(), plain.replace(":", "-"), plain.replace(":", "-").upper())
    return Value(person.draw.choice(notations), "mac")


def credit_card(person: Person) -> Value:
    digits = person.faker.credit_card_number()
    sizes = (4, 6) if len(digits) == 15 else (4,) * 4
    separator = person.draw.choice(("", "", " ", "-"))
    text = grouped(digits, sizes, separator) if separator and len(digits) in (15, 16) else digits
    issued = any(low <= int(digits[:6]) <= high for low, high in ISSUERS)
    return Value(text, "credit_card", issued and luhn.is_valid(digits))


def iban(person: Person) -> Value:
    plain = person.faker.iban()
    text = grouped(plain, (4,) * 9, " ") if person.draw.random() < 0.5 else plain
    return Value(text, "iban", iban_rules.is_valid(plain, check_country=False))


def ssn(person: Person) -> Value:
    return Value(person.of("en_US").ssn(), "us_ssn")


def uk_nhs(person: Person) -> Value:
    while not nhs.is_valid(number := str(person.draw.randrange(4 * 10**9, 8 * 10**9))):
        pass
    return Value(grouped(number, (3, 3), person.draw.choice((" ", "", "-"))), "uk_nhs")


def uk_nino(person: Person) -> Value:
    """HMRC's NIM39110: letters that may stand first and second, and pairs that are not given."""
    pair = "BG"
    while pair in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
        second = "ABCEGHJKLMNPRSTWXYZ"
        pair = person.draw.choice("ABCEGHJKLMNOPRSTWXYZ") + person.draw.choice(second)
    groups = [pair, *(_digits(person.draw, 2) for _ in range(3)), person.draw.choice("ABCD")]
    return Value(person.draw.choice(("", " ")).join(groups), "uk_nino")


def de_tax_id(person: Person) -> Value:
    """Of its first ten digits one stands there twice; the eleventh checks (ISO 7064, 11,10)."""
    while True:
        chosen = person.draw.sample(string.digits, 9)
        chosen.append(person.draw.choice(chosen))
        person.draw.shuffle(chosen)
        first = "".join(chosen)
        for last in string.digits:
            if idnr.is_valid(first + last):
                separator = person.draw.choice(("", " "))
                return Value(grouped(first + last, (2, 3, 3), separator), "de_tax_id")


def fr_nir(person: Person) -> Value:
    number = person.of("fr_FR").ssn()
    spaced = person.draw.random() < 0.5
    text = grouped(number, (1, 2, 2, 2, 3, 3), " ") if spaced else number
    return Value(text, "fr_nir", nir.is_valid(number))


def in_aadhaar(person: Person) -> Value:
    """Eleven digits, the first 2 to 9, and Verhoeff's; Faker's have no check digit."""
    first = person.draw.choice("23456789") + _digits(person.draw, 10)
    number = next(first + last for last in string.digits if verhoeff.is_valid(first + last))
    text = grouped(number, (4, 4), " ") if person.draw.random() < 0.5 else number
    return Value(text, "in_aadhaar", aadhaar.is_valid(number))


def us_driver_license(person: Person) -> Value:
    return Value(person.faker.us_driver_license(), "driver_license")


def uk_driver_license(person: Person) -> Value:
    """DVLA: five letters of the name, date of birth with its decade first, initials, three more."""
    name = "".join(c for c in person.of("en_GB").last_name().upper() if c in string.ascii_uppercase)
    month = person.draw.randrange(1, 13) + person.draw.choice((0, 50))
    birth = f"{_digits(person.draw, 1)}{month:02}{person.draw.randrange(1, 29):02}"
    birth += _digits(person.draw, 1)
    initials = person.draw.choice(string.ascii_uppercase) + person.draw.choice("9ABCDEM")
    check = "".join(person.draw.choices(string.ascii_uppercase, k=2))
    return Value(f"{name[:5]:9<5}{birth}{initials}9{check}", "driver_license")


def passport(person: Person) -> Value:
    return Value(person.faker.passport_number(), "passport")


def date_of_birth(person: Person) -> Value:
    day = person.faker.date_of_birth(minimum_age=1, maximum_age=95)
    return Value(day.strftime(person.draw.choice(BIRTH_FORMATS)), "date_of_birth")


def medical_record(person: Person) -> Value:
    number = _digits(person.draw, person.draw.choice((6, 7, 8, 10)))
    prefix = person.draw.choice(("", "", "H", "MR"))
    return Value(prefix + number, "medical_record")


def address(person: Person) -> Value:
    street, town = person.faker.street_address(), person.faker.city()
    code = person.faker.postcode()
    if person.locale == "en_US":
        text = f"{street}, {town}, {person.faker.state_abbr()} {code}"
    elif person.locale == "de_DE":
        text = f"{street}, {code} {town}"
    else:
        text = f"{street}, {town}, {code}"
    text = text.replace("\n", " ")
    return Value(text, "street_address", person.locale in ADDRESS_LOCALES)


def geo(person: Person) -> Value:
    latitude, longitude = person.draw.uniform(-80, 80), person.draw.uniform(-180, 180)
    notation = person.draw.random()
    if notation < 0.6:
        places = person.draw.choice((4, 5, 6))
        text = f"{latitude:.{places}f}, {longitude:.{places}f}"
    elif notation < 0.8:
        text = f"{_degrees(latitude, 'NS')} {_degrees(longitude, 'EW')}"
    else:
        north, east = "NS"[latitude < 0], "EW"[longitude < 0]
        text = f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"
    return Value(text, "geo")


def _degrees(angle: float, signs: str) -> str:
    seconds = round(abs(angle) * 3600)
    sign = signs[angle < 0]
    return f"{seconds // 3600}°{seconds // 60 % 60:02}'{seconds % 60:02}\"{sign}"


def _checked(locale: str, method: str, kind: str, judge: Callable[[str], bool]) -> "Maker":
    """A maker of what a country's Faker makes and python-stdnum judges."""

    def make(person: Person) -> Value:
        found = getattr(person.of(locale), method)()
        return Value(found, kind, judge(found))

    return make


Maker = Callable[[Person], Value]

MAKERS: dict[str, Maker] = {
    "email": email,
    "phone_number": phone,
    "ip_address": ip_address,
    "mac": mac,
    "credit_card_number": credit_card,
    "iban": iban,
    "ssn": ssn,
    "uk_nhs": uk_nhs,
    "uk_nino": uk_nino,
    "de_tax_id": de_tax_id,
    "fr_nir": fr_nir,
    "es_dni": _checked("es_ES", "nif", "es_dni", dni.is_valid),
    "es_nie": _checked("es_ES", "nie", "es_nie", nie.is_valid),
    "it_codice_fiscale": _checked("it_IT", "ssn", "it_codice_fiscale", codicefiscale.is_valid),
    "nl_bsn": _checked("nl_NL", "ssn", "nl_bsn", bsn.is_valid),
    "pl_pesel": _checked("pl_PL", "pesel", "pl_pesel", pesel.is_valid),
    "br_cpf": _checked("pt_BR", "cpf", "br_cpf", cpf.is_valid),
    "in_aadhaar": in_aadhaar,
    "in_pan": _checked("en_IN", "pan", "in_pan", pan.is_valid),
    "passport": passport,
    "us_driver_license": us_driver_license,
    "uk_driver_license": uk_driver_license,
    "date_of_birth": date_of_birth,
    "medical_record": medical_record,
    "address": address,
    "geo": geo,
    **{
        name: lambda person, kind=kind, make=make: Value(make(person.draw), kind)
        for kind, makers in (("url_credentials", URLS), ("secret", SECRETS), ("crypto", CRYPTO))
        for name, make in makers.items()
    },
}
