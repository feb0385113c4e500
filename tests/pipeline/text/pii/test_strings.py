"""Kinds that words and strings make: what each is, and what only looks like it.

Keys and tokens are put together from pieces, so that nothing here is one for those who search
repositories for them.
"""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.kinds.randomness import is_random

_LINES = "\n".join(
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"[i:] for i in (0, 1)
)
_PRIVATE = "PRIVATE " + "KEY-----"
_JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" + "." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".c2ln"

POSITIVES = {
    "email": [
        ("see bob@bücher.de, please", "see [EMAIL], please"),
        ("иван@почта.рф", "[EMAIL]"),
        ("jürgen@example.com", "[EMAIL]"),
        ("发给bob@例子.com吧", "发给[EMAIL]吧"),
        ("bob@例子.中国", "[EMAIL]"),
        ("bob@example.com。谢谢", "[EMAIL]。谢谢"),
        ("o'brien@example.com", "[EMAIL]"),
        ("b'bob@example.com'", "b'[EMAIL]'"),
    ],
    "phone": [
        ("Tel.: 020 7946 0958", "Tel.: [PHONE]"),
        ("call 0711 123456", "call [PHONE]"),
        ("(07700) 900123 x", "[PHONE] x"),
        ("(0117)4960946", "[PHONE]"),
        ("01 42 68 53 00", "[PHONE]"),
        ("01.42.68.53.00", "[PHONE]"),
        ("my mobile 07700900123 rings", "my mobile [PHONE] rings"),
        ("617-253-1000x123", "[PHONE]"),
        ("001-617-253-1000 ext. 12", "[PHONE]"),
        ("phone 6172531000", "phone [PHONE]"),
        ("WhatsApp: 912 345 678.", "WhatsApp: [PHONE]."),
        ("(11) 91234-5678 fax", "[PHONE] fax"),
        ("Office,09641229154-Fax", "Office,[PHONE]-Fax"),
        ("tel 020 7946 0958 2 doors", "tel [PHONE] 2 doors"),
        ("telefon: 22 635 12 34", "telefon: [PHONE]"),
        ("téléphone 0142685300", "téléphone [PHONE]"),
    ],
    "url_credentials": [
        ("https://bob:s3cretPass@github.com/a", "https://[URL_CREDENTIALS]/a"),
        ("postgres://u:p4ss@db.internal:5432/app", "postgres://[URL_CREDENTIALS]/app"),
        ("redis://:p4ss-w@10.0.0.1.", "redis://[URL_CREDENTIALS]."),
        ("?a=5&access_token=abc1def2ghi3 b", "?a=5&access_token=[URL_CREDENTIALS] b"),
        ("/x?X-Amz-Signature=0a1b2c3d4e5f6", "/x?X-Amz-Signature=[URL_CREDENTIALS]"),
        ("?key=1&api_key=WsITDLlToMNxBsxAkpSIV", "?key=1&api_key=[URL_CREDENTIALS]"),
    ],
    "secret": [
        ("id AKIA" + "IOSFODNN7ABCDEFG.", "id [SECRET]."),
        ("ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a has", "[SECRET] has"),
        ("github_pat_" + "aB3" * 7 + "c_" + "d4" * 29 + "e", "[SECRET]"),
        ("glpat-" + "Zx9-8yW7vU6tS5rQ4pO3", "[SECRET]"),
        ("xoxb-" + "176612345678-176698765432-aB3dE5fG7hI9", "[SECRET]"),
        ("https://hooks.slack.com/services/" + "T0AB1CD2E/B0AB1CD2E/x7Yz", "https://[SECRET]"),
        ("AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "[SECRET]"),
        ("'sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc'", "'[SECRET]'"),
        ("hf_" + "qWeRtYuIoPaSdFgHjKlZxCvBnMqWeRtYuI", "[SECRET]"),
        (_JWT + ",", "[SECRET],"),
        ("Authorization: Bearer " + "aB3dE5fG7hI9jK1lM3", "Authorization: Bearer [SECRET]"),
        ('password = "aB3dE5fG7hI9jK1lM3nO5pQ7"', 'password = "[SECRET]"'),
        ('password = "cS3evufwnJtkckoaTCFYSavK"', 'password = "[SECRET]"'),
        ('{"secret": "9f86d081884c7d65"}', '{"secret": "[SECRET]"}'),
        ("os.environ['API_KEY'] = 'zX8vB6nM4qW2eR5t'", "os.environ['API_KEY'] = '[SECRET]'"),
        (f"a\n-----BEGIN RSA {_PRIVATE}\n{_LINES}\nAB==\n-----END RSA {_PRIVATE}\nb",
         "a\n[SECRET]\nb"),
        (f'"-----BEGIN {_PRIVATE}\\n{_LINES[:64]}\\nAB==\\n-----END {_PRIVATE}\\n"',
         '"[SECRET]\\n"'),
        (f"-----BEGIN {_PRIVATE}\nProc-Type: 4,ENCRYPTED\n\n{_LINES[:64]}\n\nb", "[SECRET]\n\nb"),
    ],
    "passport": [
        ("Passport number: C01X00T47", "Passport number: [PASSPORT]"),
        ("My passport no. is 123456789.", "My passport no. is [PASSPORT]."),
        ('"passport_number": "AB1234567"', '"passport_number": "[PASSPORT]"'),
        ("passport (US): 123456789", "passport (US): [PASSPORT]"),
        ("travels on passport YA1234567", "travels on passport [PASSPORT]"),
        ("numéro de passeport : 12AB34567", "numéro de passeport : [PASSPORT]"),
        ("Reisepass C01X00T47", "Reisepass [PASSPORT]"),
    ],
    "driver_license": [
        ("Driver's license: A1234567", "Driver's license: [DRIVER_LICENSE]"),
        ("driver\u2019s license A1234567", "driver\u2019s license [DRIVER_LICENSE]"),
        ("His driver license number is S123-4567-8901.",
         "His driver license number is [DRIVER_LICENSE]."),
        ("DL# 12345678", "DL# [DRIVER_LICENSE]"),
        ("Driving licence: MORGA657054SM9IJ", "Driving licence: [DRIVER_LICENSE]"),
        ("Führerschein Nr. B072RRE2I55", "Führerschein Nr. [DRIVER_LICENSE]"),
    ],
    "medical_record": [
        ("MRN: H123456", "MRN: [MEDICAL_RECORD]"),
        ("Medical record number 12345678", "Medical record number [MEDICAL_RECORD]"),
        ("Med. Rec. No.: MR123456", "Med. Rec. No.: [MEDICAL_RECORD]"),
        ("patient_id = 123-45-678", "patient_id = [MEDICAL_RECORD]"),
    ],
    "date_of_birth": [
        ("DOB: 1980-01-02", "DOB: [DATE_OF_BIRTH]"),
        ('"dateOfBirth": "1980-01-02"', '"dateOfBirth": "[DATE_OF_BIRTH]"'),
        ("born March 12, 1980 in X", "born [DATE_OF_BIRTH] in X"),
        ("D.O.B. 12-Mar-1980, was", "D.O.B. [DATE_OF_BIRTH], was"),
        ("geboren am 12.03.1980", "geboren am [DATE_OF_BIRTH]"),
        ("née le 1er août 1980", "née le [DATE_OF_BIRTH]"),
        ("your date of birth. It's 1/2/80", "your date of birth. It's [DATE_OF_BIRTH]"),
    ],
    "geo": [
        ("GPS: 40.4461, -79.9822", "GPS: [GEO]"),
        ("The coordinates are 40.4461, -79.9822.", "The coordinates are [GEO]."),
        ("Location (lat/lon): 40.4461, -79.9822", "Location (lat/lon): [GEO]"),
        ('{"lat": 40.44612, "lng": -79.98221}', '{"lat": [GEO]}'),
        ("40°26'46\"N 79°58'56\"W", "[GEO]"),
        ("40.4461° N, 79.9822° W", "[GEO]"),
        ("https://www.example.com/maps/@40.44612,-79.98221,15z",
         "https://www.example.com/maps/@[GEO],15z"),
    ],
    "street_address": [
        ("at 12 Main Street, Springfield, IL 62704.", "at [STREET_ADDRESS]."),
        ("1234 N Elm St. Apt 5\nNorth Michael, CA 12345-6789 x", "[STREET_ADDRESS] x"),
        ("500 5th Avenue", "[STREET_ADDRESS]"),
        ("Flat 2, 10 Downing Street, London SW1A 2AA", "[STREET_ADDRESS]"),
        ("7052 Paula Camp, South Anne, AR 88446", "[STREET_ADDRESS]"),
        ("Hauptstraße 12a, 12345 Berlin", "[STREET_ADDRESS]"),
        ("in der Berliner Straße 5", "in der [STREET_ADDRESS]"),
        ("Lindenweg 3, 80331 München", "[STREET_ADDRESS]"),
    ],
}  # fmt: skip

NEGATIVES = {
    "email": [
        "m'@'n", "a@bücher", "x@bücher.gewichte", "发给@例子", "ü" * 256 + "@example.com",
    ],
    "phone": [
        "030 901820", "2004-01-01 12:00", "call 2004-01-01", "text.replace(123456789)",
        "tel 123456789", "call(12345678901)", "8b 83 3c 01 00 00 89 44 24 14", "tel 1557.969301",
        "0123456789 01 2", "01 02 03", "[PHONE] 020 7946", "00000000", "x01 42 68 53 00",
    ],
    "url_credentials": [
        "http://user:password@host/", "http://$USER:$PASS@host.org/", "smb://bruker:passord@server",
        "https://example.com:8080/a@b", "?code=authorization_code", "?token=12345678",
        "?token={token}", "?key=value&a=1", "http://[URL_CREDENTIALS]@host", "std::a:b@c",
    ],
    "secret": [
        "AKIA" + "IOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "token = self.get_token_from_request_1",
        "password = getpass.getpass_2", "sk-learn-contrib", "eyJhbGciOi.eyJzdWIiOiIx.c2ln",
        "api_key = your_api_key_here_123", "secret: [SECRET]", "password_hash_2 = hash_password_3",
        "token = 'aaaaaaaaaaaaaaaa1'", f"-----BEGIN {_PRIVATE} is how it begins",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "asia-northeast1-docker",
        "the password is kept in /etc/app/password.conf",
    ],
    "passport": [
        "my passport is blue", "passports of 2004", "a number 123456789", "[PASSPORT] 123456789",
        "passport issued 2004-01-01", "passport.js 0.6.0",
    ],
    "driver_license": [
        "driving licences in 2004 rose", "license 2.0", "driver license 1990-1999", "DL 1234",
        "GPL license 12345678",
    ],
    "medical_record": [
        "patient 12", "medical records of 1999", "MRN 1234", "MRN 2004-01-01", "chart number 3",
    ],
    "date_of_birth": [
        "birthday party on 2004-12-01", "2004-12-01", "[DATE_OF_BIRTH] 1980-01-02",
        "born 2004-13-01", "DOB 32.01.1980", "reborn 1980-01-02", "born in 1980",
    ],
    "geo": [
        "40.4461, -79.9822", "version 40.4461, 79.9822", "GPS 40.4, -79.9", "GPS: 140.4461, 9.9822",
        "40°26'N 79°58'W", "latitude 40.4461", "40.4461° and 79.9822°",
    ],
    "street_address": [
        "String 5, 12345 Berlin", "2004 Debian Project Drive", "section 3 The Way",
        "3 The Road", "2 Xeon E5 2GB", "1.2 Foo Street", "5 street lamps", "Spring 2024",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "want"), [(k, *case) for k, cases in POSITIVES.items() for case in cases]
)
def test_what_is_of_the_kind_becomes_its_tag(kind, text, want):
    anonymised = anonymise(pa.array([text]), PiiConfig(kinds=(kind,)))
    assert anonymised.texts.to_pylist() == [want]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NEGATIVES.items() for text in texts]
)
def test_what_only_looks_like_the_kind_stays(kind, text):
    texts = pa.array([text, f"see {text} there", f"({text})"])
    assert anonymise(texts, PiiConfig(kinds=(kind,))).texts is texts


def test_telephone_numbers_are_those_of_the_regions_and_all_that_begin_with_plus():
    texts = pa.array(["(617) 253-1000, tel 020 7946 0958, tel 030 901820; +44 20 7946 0958"])
    found = [
        anonymise(texts, PiiConfig(kinds=("phone",), phone_regions=regions)).texts[0].as_py()
        for regions in [("GB",), ("DE",), ("US",), ()]
    ]
    assert found == [
        "(617) 253-1000, tel [PHONE], tel 030 901820; [PHONE]",
        "(617) 253-1000, tel 020 7946 0958, tel [PHONE]; [PHONE]",
        "[PHONE], tel 020 7946 0958, tel 030 901820; [PHONE]",
        "(617) 253-1000, tel 020 7946 0958, tel 030 901820; [PHONE]",
    ]


def test_regions_that_do_not_exist_are_refused_and_uk_is_told_its_code():
    with pytest.raises(ValidationError, match="got UK; want GB"):
        PiiConfig(phone_regions=("UK",))
    with pytest.raises(ValidationError, match="'XX'; want codes of ISO 3166-1"):
        PiiConfig(phone_regions=("GB", "XX"))


@pytest.mark.parametrize(
    "value", [b"aB3dE5fG7hI9jK1lM3", b"9f86d081884c7d65", b"WsITDLlToMNxBsxAkpSIV"]
)
def test_keys_look_random(value):
    assert is_random(value)


@pytest.mark.parametrize(
    "value",
    [b"getUserNameFromRequest2", b"user_name_from_request_2", b"aaaaaaaaaaaaaaaa1",
     b"password-store", b"deadbeefdeadbeef", b"de305d54-75b4-431b",
     b"org.apache.commons.lang3.StringUtils", b"adjustSVGAttributesMap",
     b"rust_openssl.hpke.MLKEM1024P384PrivateKey", b"./data/pcg64dxsm-testset-2.csv",
     b"TKSmartCardTokenDriver", b"BlobSharedKeyCredentialPolicy", b"sfntCMapEncoding",
     b"GoogleCloudHsmGeneratedSecretManager", b"DonaudampfschiffGesellschaft"],
)  # fmt: skip
def test_names_and_words_do_not_look_random(value):
    assert not is_random(value)
