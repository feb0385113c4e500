"""What each kind is, and what only looks like it."""

import pyarrow as pa
import pytest

from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.kinds.credit_card import passes_luhn

POSITIVES = {
    "email": [
        ("write to jane.doe@example.com today", "write to [EMAIL] today"),
        ("<j_doe+list@mail.example.co.uk>", "<[EMAIL]>"),
        ("mailto:JANE@EXAMPLE.COM.", "mailto:[EMAIL]."),
        ("a@b.io, c-d@e-f.museum", "[EMAIL], [EMAIL]"),
        ("x@xn--bcher-kva.xn--p1ai", "[EMAIL]"),
        ("...end@example.org...", "...[EMAIL]..."),
        ("邮箱是bob@example.com请联系", "邮箱是[EMAIL]请联系"),
        ("=jane@example.com@example.org", "=[EMAIL]@example.org"),
        ("-jane%40x@example.com", "-[EMAIL]"),
    ],
    "phone": [
        ("call +49 30 901820 now", "call [PHONE] now"),
        ("+44 (0)20 7946 0958", "[PHONE]"),
        ("tel:+33-1-42-68-53-00", "tel:[PHONE]"),
        ("+4915112345678", "[PHONE]"),
        ("+1 617 253 1000 2 doors", "[PHONE] 2 doors"),
        ("+1 (617) 253-1000", "[PHONE]"),
        ("(617) 253-1000", "[PHONE]"),
        ("(617)253-1000.", "[PHONE]."),
        ("617-253-1000", "[PHONE]"),
        ("1-800-253-1000", "[PHONE]"),
        ("617.253.1000", "[PHONE]"),
        ("my cell is 617 253 1000", "my cell is [PHONE]"),
        ("1(617)253-1000", "[PHONE]"),
    ],
    "ip": [
        ("from 93.184.216.34 to", "from [IP] to"),
        ("http://8.8.8.8/x", "http://[IP]/x"),
        ("nameserver 1.1.1.1", "nameserver [IP]"),
        ("route to 8.8.8.8:53", "route to [IP]:53"),
        ("the 9.9.9.9 IP", "the [IP] IP"),
        ("[217.89.81.34]", "[[IP]]"),
        ("93.184.216.34-93.184.216.39", "[IP]-[IP]"),
        ("93.184.216.34/32", "[IP]/32"),
        ("It was 93.184.216.34.", "It was [IP]."),
        ("2606:2800:220:1:248:1893:25c8:1946", "[IP]"),
        ("[2a01:4f8:c0c:d0a::1]:443", "[[IP]]:443"),
        ("at 2a00:1450:4001:82b::200e.", "at [IP]."),
        ("2a01:4f8::1/128", "[IP]/128"),
    ],
    "credit_card": [
        ("card 4111 1111 1111 1111 exp 12/29", "card [CREDIT_CARD] exp 12/29"),
        ("4111-1111-1111-1111", "[CREDIT_CARD]"),
        ("5555555555554444,", "[CREDIT_CARD],"),
        ("2223003122003222", "[CREDIT_CARD]"),
        ("3782 822463 10005", "[CREDIT_CARD]"),
        ("3056 930902 5904", "[CREDIT_CARD]"),
        ("6011111111111117", "[CREDIT_CARD]"),
        ("3530111333300000", "[CREDIT_CARD]"),
        ("6200000000000005", "[CREDIT_CARD]"),
        ("4222222222222", "[CREDIT_CARD]"),
        ("6304 is no card; 4000 0566 5566 5556 is", "6304 is no card; [CREDIT_CARD] is"),
    ],
    "us_ssn": [
        ("SSN: 536-22-8145", "SSN: [US_SSN]"),
        ("(219-09-9998)", "([US_SSN])"),
        ("social security number 536 22 8145", "social security number [US_SSN]"),
    ],
}

NEGATIVES = {
    "email": [
        "@property", "y = a@b.T", "x@self.weights", "logo@2x.png", "getty@tty1.service",
        "user@host",
        "a@b..com", "a@-b.com", "@example.com", "a@.com", "a@b.c", "foo@1.2.3",
        "git@github.com:x/y",
        "e = m @ c.dot(x)", "a" * 256 + "@example.com", "a@" + "b" * 64 + ".com",
    ],
    "phone": [
        "2024-01-15 10:30:00", "2004-01-01T10:00:00+0100", "ISBN 978-0-201-53082-7",
        "0-201-53082-1",
        "1.2.3.4", "10.0.19041.1288", "+1234567", "+3.14159265", "+1.2345678901", "256 512 1024",
        "911-253-1000", "617-911-1000", "617-153-1000", "123-456-7890", "617-253-10000",
        "8617-253-1000", "x617-253-1000", "3.617.253.1000", "617-253.1000", "+1-2-3-4-5-6-7-8-9",
        "UTC+02:00 2024", "@@ -1,5 +100,8 @@", "de305d54-75b4-431b-adb2-eb6b9e546014",
        "+999 12 345 678",
        "1234567890", "+1 617 253 100",
    ],
    "ip": [
        "10.0.0.1", "192.168.1.1", "127.0.0.1", "172.16.5.4", "169.254.1.1", "224.0.0.251",
        "255.255.255.0", "0.0.0.0", "192.0.2.7", "198.51.100.1", "203.0.113.9", "93.184.216.0",
        "1.2.3.4", "1.2.3.4.5", "3.1.4.2", "section 193.184.16.34", "93.184.216.34.5",
        "version 193.15.20.40", "v93.184.216.34", "foo-93.184.216.34", "Chrome/93.184.216.34",
        ">= 93.184.216.34", "==93.184.216.34", "93.184.216.34-5", "93.184.216.34+dfsg1",
        "93.184.216.34rc1", "93.184.216.34/24", "1.3.6.1.4.1.311", "6.1.8.87. Teppro",
        "993.184.216.34", "93.184.216.344", "093.184.216.34", "last seen on 2.6.38.6",
        "see § 93.184.216.34", "::1", "fe80::1", "2001:db8::1", "fd00::1", "std::fabs", "12:30:45",
        "dead::beef", "2a01:4f8::", "2a01:4f8::1/64", "4 Jan 2004::", "2001:2:3",
        "00:C0:EA:00:00:4E",
        "g2001:4860::8888", "a:2001:4860::8888",
    ],
    "credit_card": [
        "4111 1111 1111 1112", "4111 1111-1111 1111", "41111111 11111111", "411111111111111",
        "1111 1111 1111 1117", "0000 0000 0000 0000", "94111111111111111", "4111111111111111a",
        "0.4111111111111111", "4111111111111111.5", "1234 4111 1111 1111 1111",
        "4111 1111 1111 1111 1111", "978-0-201-53082-7", "9780201530827", "x4111111111111111",
        "1-4111111111111111", "3782 8224 6310 005", "20240115103000",
    ],
    "us_ssn": [
        "000-22-8145", "666-22-8145", "900-22-8145", "987-65-4320", "536-00-8145", "536-22-0000",
        "078-05-1120", "219-09-9999", "536228145", "536 22 8145", "536-22 8145", "1536-22-8145",
        "536-22-81450", "536-22-8145-1", "1-536-22-8145", "a536-22-8145", "2024-01-1500",
    ],
}  # fmt: skip

TAGS = ["EMAIL", "PHONE", "IP", "CREDIT_CARD", "US_SSN"]


def only(kind: str) -> PiiConfig:
    return PiiConfig(kinds=(kind,))


@pytest.mark.parametrize(
    ("kind", "text", "want"), [(k, *case) for k, cases in POSITIVES.items() for case in cases]
)
def test_what_is_of_the_kind_becomes_its_tag(kind, text, want):
    anonymised = anonymise(pa.array([text]), only(kind))
    assert anonymised.texts.to_pylist() == [want]
    assert anonymised.counts.to_pydict() == {f"num_pii_{kind}": [want.count(f"[{kind.upper()}]")]}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NEGATIVES.items() for text in texts]
)
def test_what_only_looks_like_the_kind_stays(kind, text):
    texts = pa.array([text, f"see {text} there", f"({text})"])
    assert anonymise(texts, only(kind)).texts is texts


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_of_no_kind(tag):
    texts = pa.array([f"[{tag}]", f"[{tag}]@example.com", f"+[{tag}] [{tag}]-[{tag}].[{tag}]"])
    assert anonymise(texts, PiiConfig()).texts is texts


def test_luhn_accepts_one_check_digit_in_ten():
    # the example of ISO/IEC 7812-1 annex B
    assert [digit for digit in range(10) if passes_luhn(b"7992739871%d" % digit)] == [3]
