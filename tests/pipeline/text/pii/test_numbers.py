"""Numbers with checksums, and the marks that people wear: what each kind is, and what looks so."""

import pyarrow as pa
import pytest

from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig

POSITIVES = {
    "mac": [
        ("ether 00:1b:44:11:3a:b7 txqueuelen", "ether [MAC] txqueuelen"),
        ("ether 08-77-37-f9-54-47 up", "ether [MAC] up"),
        ("(00-1B-44-11-3A-B7)", "([MAC])"),
        ("MAC 3c52.82aa.01f0,", "MAC [MAC],"),
        ("mac: 00:16:36:10:20:30.", "mac: [MAC]."),
    ],
    "credit_card": [
        ("Maestro card 5018 0000 0009", "Maestro card [CREDIT_CARD]"),
        ("card 501800000009", "card [CREDIT_CARD]"),
        ("213112345678904", "[CREDIT_CARD]"),
        ("6759649826438453", "[CREDIT_CARD]"),
        ("Maestro 573763426263223372", "Maestro [CREDIT_CARD]"),
        ("Kreditkarte 5749986484189612790.", "Kreditkarte [CREDIT_CARD]."),
        ("my debit card is 5018000000122", "my debit card is [CREDIT_CARD]"),
        ("bankcard: 676200000000124", "bankcard: [CREDIT_CARD]"),
    ],
    "private_ip": [
        ("ping 192.168.1.17.", "ping [PRIVATE_IP]."),
        ("10.0.0.5 - - [GET", "[PRIVATE_IP] - - [GET"),
        ("172.16.0.1 172.31.255.254 172.32.0.1", "[PRIVATE_IP] [PRIVATE_IP] 172.32.0.1"),
        ("http://127.0.0.1:8080/", "http://[PRIVATE_IP]:8080/"),
        ("169.254.12.9, 100.64.0.1, 100.127.9.9", "[PRIVATE_IP], [PRIVATE_IP], [PRIVATE_IP]"),
        ("inet6 fe80::21b:44ff:fe11:3ab7%eth0", "inet6 [PRIVATE_IP]%eth0"),
        ("FD12:3456:789A:1::1, fc00::1.", "[PRIVATE_IP], [PRIVATE_IP]."),
        ("fe80:0:0:0:21b:44ff:fe11:3ab7", "[PRIVATE_IP]"),
        ("::1 localhost ip6-localhost", "[PRIVATE_IP] localhost ip6-localhost"),
        ("http://[::1]:8080/", "http://[[PRIVATE_IP]]:8080/"),
        ("listening on ::1", "listening on [PRIVATE_IP]"),
    ],
    "iban": [
        ("IBAN: DE89370400440532013000.", "IBAN: [IBAN]."),
        ("GB29 NWBK 6016 1331 9268 19 BIC NWBKGB2L", "[IBAN] BIC NWBKGB2L"),
        ("DE89 3704 0044 0532 0130 00 10 Euro", "[IBAN] 10 Euro"),
        ("BE68-5390-0754-7034", "[IBAN]"),
        ("from ES73 4349 7969 4272 2518 6615 to", "from [IBAN] to"),
        ("NO93 8601 1117 947 and more", "[IBAN] and more"),
        ("fr1420041010050500013m02606", "[IBAN]"),
        ("MT84MALT011000012345MTLCAST001S", "[IBAN]"),
    ],
    "crypto": [
        ("Send 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa the rest", "Send [CRYPTO] the rest"),
        ("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy,", "[CRYPTO],"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.", "[CRYPTO]."),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "[CRYPTO]"),
        ("(bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0)", "([CRYPTO])"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "[CRYPTO]"),
        ("eth: 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "eth: [CRYPTO]"),
    ],
    "us_ssn": [
        ("SSN 536228145", "SSN [US_SSN]"),
        ("his social security number, 536228145,", "his social security number, [US_SSN],"),
    ],
    "uk_nhs": [
        ("NHS number: 943 476 5919", "NHS number: [UK_NHS]"),
        ("Patient NHS no. 943-476-5919 was", "Patient NHS no. [UK_NHS] was"),
        ("nhs 9434765919.", "nhs [UK_NHS]."),
    ],
    "uk_nino": [
        ("AB123456C", "[UK_NINO]"),
        ("National Insurance no. (AB 12 34 56 C)", "National Insurance no. ([UK_NINO])"),
        ("my NI number is ab123456c", "my NI number is [UK_NINO]"),
        ("NINO AB-12-34-56-C", "NINO [UK_NINO]"),
    ],
    "de_tax_id": [
        ("Steuer-ID: 36574261809", "Steuer-ID: [DE_TAX_ID]"),
        ("IdNr. 36 574 261 809", "IdNr. [DE_TAX_ID]"),
        (
            "Die steuerliche Identifikationsnummer 36574261809 gehört",
            "Die steuerliche Identifikationsnummer [DE_TAX_ID] gehört",
        ),
    ],
    "fr_nir": [
        ("NIR 2 95 10 99 126 111 93", "NIR [FR_NIR]"),
        ("sécu : 295109912611193", "sécu : [FR_NIR]"),
        ("2951099126111 93,", "[FR_NIR],"),
        ("N° de sécu 1 48 03 2B 033 426 12", "N° de sécu [FR_NIR]"),
        ("178012A00400169", "[FR_NIR]"),
    ],
    "es_dni": [
        ("con NIF 12345678Z, firma", "con NIF [ES_DNI], firma"),
        ("DNI: 12.345.678-Z", "DNI: [ES_DNI]"),
        ("mi dni es 12345678z", "mi dni es [ES_DNI]"),
    ],
    "es_nie": [
        ("El NIE es X1234567L.", "El NIE es [ES_NIE]."),
        ("NIE: Y-1234567-X", "NIE: [ES_NIE]"),
    ],
    "it_codice_fiscale": [
        ("C.F. RSSMRA85T10A562S", "C.F. [IT_CODICE_FISCALE]"),
        ("(rssmra85t10a562s)", "([IT_CODICE_FISCALE])"),
    ],
    "nl_bsn": [
        ("BSN: 111222333", "BSN: [NL_BSN]"),
        ("Het burgerservicenummer van Johanna de Vries-Jansen is 1112.22.333", "Het "
         "burgerservicenummer van Johanna de Vries-Jansen is [NL_BSN]"),
    ],
    "pl_pesel": [("PESEL: 44051401359", "PESEL: [PL_PESEL]")],
    "br_cpf": [
        ("390.533.447-05", "[BR_CPF]"),
        ("inscrito no CPF sob o nº 39053344705", "inscrito no CPF sob o nº [BR_CPF]"),
    ],
    "in_aadhaar": [
        ("Aadhaar: 2341 2341 2346", "Aadhaar: [IN_AADHAAR]"),
        ("my aadhar card no is 234123412346.", "my aadhar card no is [IN_AADHAAR]."),
    ],
    "in_pan": [("PAN ACUPA7085R,", "PAN [IN_PAN],")],
}  # fmt: skip

NEGATIVES = {
    "mac": [
        "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "00:00:5e:00:53:af",
        "12:30:45:12:30:45", "10-11-12-10-30-44", "00:1b:44:11:3a:b7:c2", "00:1b:44:11:3a",
        "a0:00:1b:44:11:3a:b7", "00:1b:44-11:3a:b7", "3c52.82aa.01f0", "x00:1b:44:11:3a:b7",
        "00:1b:44:11:3a:b7a", "SHA 00:1b:44:11:3a:b7:00:1b:44:11:3a:b7", "dead.beef.cafe",
        "fe80::21b:44ff:fe11:3ab7", "00 1b 44 11 3a b7",
    ],
    "private_ip": [
        "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.0",
        "10.0.0.0/8", "192.168.1.0", "192.168.1.5/24", "version 10.0.1.2", ">= 10.1.2.3",
        "lib-10.1.2.3", "10.1.2.3.4", "1.10.0.0.5", "10.0.0.256", "section 10.2.3.1",
        "fe80::", "fe80::/10", "fd12:3456::1/48", "feed:me", "face::1", "fe00::1", "x[::1]",
        "double[:, ::1]", "::1", "Foo::1", "std::fd00::1", "2a01:4f8:c17:b8f::2", "fe80:1", "f::1",
    ],
    "iban": [
        "DE89370400440532013001", "DE8937040044053201300", "GB29NWBK60161331926819A",
        "ZZ29NWBK60161331926819", "XDE89370400440532013000", "De89370400440532013000",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709", "GB29 NWBK 6016 1331 9268", "DE89",
        "DE89_370400440532013000",
    ],
    "crypto": [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLz",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "bc1" + "q" * 39, "bc1 is a program",
        "Bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x" + "0" * 40,
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "1234567890123456789012345678",
        # version 1 with the checksum of version 0
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    ],
    "credit_card": [
        "501800000009", "Card 501800000008", "serial 5018 0000 0009", "573763426263223372",
        "5749986484189612790", "5018000000122", "676200000000124",
        "[573763426263223372, 5749986484189612790]",
    ],
    "us_ssn": ["SSN 000228145", "SSN 5362281450", "ssn 078051120", "SSNs: 12345678"],
    "uk_nhs": [
        "943 476 5919", "NHS 943 476 5918", "NHS 943 4765919",
        "the nhs, which of all its many and various institutions is the largest, 943 476 5919",
    ],
    "uk_nino": [
        "AB 12 34 56 C", "GB123456A", "DA123456A", "AO123456A", "AB123456E", "XAB123456C",
        "AB123456C-1", "AB1234567C", "ab123456c", "NINO AB 123456C7",
    ],
    "de_tax_id": [
        "36574261809", "Steuer-ID 36574261808", "Steuer 12345678901", "IdNr. 06574261809",
    ],
    "fr_nir": [
        "295109912611194", "995109912611193", "2951099126111930",
        "295139912611193",
    ],
    "es_dni": ["12345678A", "12345678z", "20240115P", "12345678-Z", "123456789Z", "DNI 12345678A"],
    "es_nie": ["X1234567A", "A1234567L", "x1234567l", "X12345678L"],
    "it_codice_fiscale": ["RSSMRA85T10A562T", "RSSMRA85Z10A562S", "RSSMRA85T10A562SX"],
    "nl_bsn": ["111222333", "BSN 111222334", "BSN 1112223330", "BSN 000000000"],
    "pl_pesel": ["44051401359", "PESEL 44051401358", "PESEL 44951401359", "PESEL 440514013590"],
    "br_cpf": ["390.533.447-06", "39053344705", "111.111.111-11", "1390.533.447-05"],
    "in_aadhaar": ["2341 2341 2346", "Aadhaar 2341 2341 2347", "Aadhaar 1341 2341 2346"],
    "in_pan": ["ACUPA7085", "ACUXA7085R", "ACUPA0000R", "acupa7085r", "ACUPA7085RX"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "want"), [(k, *case) for k, cases in POSITIVES.items() for case in cases]
)
def test_what_is_of_the_kind_becomes_its_tag(kind, text, want):
    assert anonymise(pa.array([text]), PiiConfig(kinds=(kind,))).texts.to_pylist() == [want]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NEGATIVES.items() for text in texts]
)
def test_what_only_looks_like_the_kind_stays(kind, text):
    texts = pa.array([text, f"see {text} there", f"({text})"])
    assert anonymise(texts, PiiConfig(kinds=(kind,))).texts is texts
