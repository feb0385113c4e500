import gzip
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import FilterConfigError, FilterError, FilterLoadError
from filters.parameters import threshold_names
from filters.protocol import apply, first_failures, load
from filters.url import Url
from tests.filters.reference_url import Reference

LISTS = {
    "domains": ("bad.com", "*.ads.net", "1.2.3.4", "::1", "http://worse.org:80/x", "com.br"),
    "urls": ("http://half.com/Bad/Page", "half.com/q?a=1", "half.com"),
    "strict_words": ("casino-club", "xx", "слот"),
    "hard_words": ("Porn", "été", "7"),
    "soft_words": ("sex", "webcam", "girls", "cam"),
    "allow_domains": ("good.bad.com", "porn.gov"),
}
PIECES = st.sampled_from(
    [
        *("http://", "HTTPS://", "//", "ftp:", "mailto:", "javascript:", "www.", "http:"),
        *("bad.com", "BAD.Com.", "good.bad.com", "notbad.com", "ads.net", "x.ads.net", "porn.gov"),
        *(
            "1.2.3.4",
            "[::1]",
            "worse.org",
            "half.com",
            "half.com/Bad/Page",
            "half.com/q?a=1",
            "com",
        ),
        *("casino", "club", "-", "_", "x", "X", "слот", "porn", "Porn", "été", "É", "7", "sex"),
        *("webcam", "girls", "cam", "/", "?", "#", ":", "@", ".", "..", ":8080", "user:pass@"),
        *(" ", "\t", "\n", "\x00", "\u3000", "%2e", "[", "]", "a", "é", "\U0001d4b3", "\\", "&=+"),
        *("%", "%6", "%70orn", "%C3%A9", "%2F", "%ff", "/\\", "ws:", "ß", "。", "b%61d.com"),
    ]
)
URLS = st.one_of(
    st.lists(PIECES, max_size=10).map("".join),
    st.text(max_size=20),
    st.none(),
    st.from_regex(r"https?://[a-z.]{1,9}(/[a-zA-Z0-9/?=&#-]{0,9})?"),
)


def batch_of(urls, kind=None):
    columns = [pa.array(["text"] * len(urls), pa.string()), pa.array(urls, kind or pa.string())]
    return pa.RecordBatch.from_arrays(columns, names=["text", "url"])


def judged(rule, urls):
    measured, _ = apply(rule, batch_of(urls))
    return list(
        zip(measured["blocked_by"].to_pylist(), measured["num_soft_words"].to_pylist(), strict=True)
    )


def blocked_by(url, **lists):
    return judged(Url(**lists), [url])[0][0]


@settings(max_examples=500, deadline=None)
@given(st.lists(URLS, max_size=6))
def test_urls_are_judged_as_by_the_reference(urls):
    assert judged(Url(**LISTS), urls) == [Reference(**LISTS).judge(url) for url in urls]


@settings(max_examples=100, deadline=None)
@given(st.lists(URLS, max_size=6), st.sampled_from(sorted(set(LISTS) - {"allow_domains"})))
def test_each_list_works_without_the_others(urls, name):
    one = {name: LISTS[name]}
    assert judged(Url(**one), urls) == [Reference(**one).judge(url) for url in urls]


@settings(max_examples=60, deadline=None)
@given(st.lists(URLS, min_size=1, max_size=6), st.sampled_from([pa.string(), pa.large_string()]))
def test_slices_and_both_string_types_give_the_same(urls, kind):
    rule = Url(**LISTS)
    whole = apply(rule, batch_of(["http://bad.com", *urls, "x"], kind))[0]
    part = apply(rule, batch_of(["http://bad.com", *urls, "x"], kind).slice(1, len(urls)))[0]
    assert part.to_pylist() == whole.to_pylist()[1:-1]
    assert [*zip(part.schema.names, part.schema.types, strict=True)] == [
        (signal.name, signal.type) for signal in Url.SIGNALS
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1), st.text("ab./", max_size=9))
def test_any_domain_list_blocks_as_the_reference_does(domains, url):
    url = f"http://{url}"
    lists = {"domains": tuple(domains)}
    assert judged(Url(**lists), [url]) == [Reference(**lists).judge(url)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab-", min_size=1, max_size=6), min_size=1), st.text("ab-./", max_size=15))
def test_any_list_of_strict_words_blocks_as_the_reference_does(words, url):
    lists = {"strict_words": tuple(words)}
    assert judged(Url(**lists), [url]) == [Reference(**lists).judge(url) for url in [url]]


def test_a_batch_without_rows_is_fine():
    assert judged(Url(domains=("bad.com",)), []) == []


def test_a_domain_blocks_its_subdomains_and_no_other():
    lists = {"domains": ("bad.com",)}
    assert blocked_by("https://user@a.b.BAD.com.:8080/x", **lists) == "domain"
    assert blocked_by("https://notbad.com/bad.com", **lists) == "none"
    assert blocked_by("https://bad.com.au", **lists) == "none"


def test_a_url_is_compared_without_scheme_port_fragment_and_last_slash():
    lists = {"urls": ("http://half.com/A",)}
    assert blocked_by("https://HALF.com:443/A/#top", **lists) == "url"
    assert blocked_by("https://half.com/a", **lists) == "none"
    assert blocked_by("https://half.com/A?b", **lists) == "none"
    assert blocked_by("https://www.half.com/A", **lists) == "none"


def test_words_are_strict_hard_or_soft():
    lists = {"strict_words": ("badword",), "hard_words": ("porn",), "soft_words": ("sex", "cam")}
    assert judged(
        Url(**lists),
        [
            "http://x.org/a.bad-wo.rds",
            "http://x.org/porn-1",
            "http://x.org/porno",
            "http://sex.org/SEX",
            "http://sex.org/cam",
        ],
    ) == [("strict_word", 0), ("hard_word", 0), ("none", 0), ("none", 1), ("none", 2)]


def test_an_allowed_domain_is_never_blocked():
    rule = Url(domains=("com",), soft_words=("a", "b"), allow_domains=("good.com",))
    _, mask = apply(rule, batch_of(["http://good.com/a/b", "http://x.good.com", "http://ood.com"]))
    assert mask.to_pylist() == [True, True, False]


@pytest.mark.parametrize("listed", ["evil.com:8080", "evil.com:", "http://evil.com:8080/x"])
def test_an_entry_with_a_port_blocks_its_host(listed):
    lists = {"domains": (listed,)}
    for url in ("http://evil.com", "http://a.evil.com:80/x", "evil.com:8080/x", "evil.com:8080"):
        assert blocked_by(url, **lists) == "domain"
    assert blocked_by("http://8080", **lists) == "none"
    assert blocked_by("http://evil.com/x", urls=("evil.com:8080/x",)) == "url"
    assert blocked_by("tel:110", domains=("tel",)) == "none"


@pytest.mark.parametrize(
    "listed",
    [
        *("2001:db8::1", "[2001:db8::1]", "[2001:DB8::1]:443", "http://[2001:db8::1]/x"),
        *("2001:0db8:0:0::1", "*.2001:db8::1"),
    ],
)
def test_an_address_of_ipv6_is_found_in_every_spelling(listed):
    lists = {"domains": (listed,)}
    for url in ("http://[2001:db8::1]/x", "https://u@[2001:DB8:0::0:1]:80", "//[2001:db8::1]"):
        assert blocked_by(url, **lists) == "domain"
    assert blocked_by("http://[2001:db8::12]", **lists) == "none"
    assert blocked_by("http://2001.org", **lists) == "none"
    assert blocked_by("http://[2001:DB8::1]/a", urls=("2001:db8::1/a",)) == "url"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http:/evil.com",
            "http:evil.com",
            "http:\\\\evil.com",
            "HtTpS:////evil.com/x",
            "WSS:evil.com",
        ),
        *(
            "//evil.com",
            "\\\\evil.com/x",
            "/\\evil.com",
            "///evil.com",
            "evil.com/path",
            "evil.com",
        ),
        *("http://good.com@evil.com/", "http://a@b@evil.com", "http://good.com:80@evil.com:443"),
        *(
            "http://EVIL.com",
            "http://evil.com.",
            "http://evil.com../x",
            "http://evil.com\\@good.com",
        ),
        *(
            "http://%65vil%2Ecom",
            "http://evil.com%2e",
            "http://evil。com",
            "http://\uff45\uff56\uff49\uff4c.com",
        ),
        *(" http://ev\til.com\n", "evil.com\\x", "http://evi\u00adl.com", "custom://evil.com"),
    ],
)
def test_a_host_is_what_browsers_take_for_it(url):
    assert blocked_by(url, domains=("evil.com",), allow_domains=("good.com",)) == "domain"


@pytest.mark.parametrize(
    "url",
    [
        *("http://good.com\\@evil.com", "http://good.com/@evil.com", "http://good.com?@evil.com"),
        *("/evil.com", "\\evil.com", "mailto:a@evil.com", "custom:/evil.com", "http://evil.com.au"),
        *("custom:\\\\evil.com", "http://evil%252ecom"),
    ],
)
def test_no_host_is_found_where_browsers_find_none(url):
    assert blocked_by(url, domains=("evil.com",)) == "none"


@pytest.mark.parametrize(
    "url", ["0x01020304", "16909060", "1.2.772", "01.2.3.4", "1.2.3.4.", "\uff11.2.3.4"]
)
def test_an_address_of_ipv4_is_found_in_every_spelling(url):
    assert blocked_by(f"http://{url}/", domains=("1.2.3.4",)) == "domain"
    assert blocked_by("http://1.2.3.4/", domains=(url,)) == "domain"
    assert blocked_by("http://1.2.3.5/", domains=(url,)) == "none"


@pytest.mark.parametrize(
    "host", ["1.2.3.256", "1.2.3.4.5", "0x1g.1", "08.1", "4294967296", "a.0x", "1..2"]
)
def test_what_is_no_address_is_compared_as_it_is(host):
    assert blocked_by(f"http://{host}/", domains=(host,)) == "domain"


def test_sharp_s_is_a_letter_of_its_own_as_in_browsers():
    for listed in ("straße.de", "xn--strae-oqa.de", "STRASSE.de".replace("SS", "ẞ")):
        for url in (
            "http://straße.de",
            "http://STRAßE.de",
            "http://xn--strae-oqa.de/",
            "//straẞe.de",
        ):
            assert blocked_by(url, domains=(listed,)) == "domain"
        assert blocked_by("http://strasse.de", domains=(listed,)) == "none"
    assert blocked_by("http://straße.de", domains=("strasse.de",)) == "none"


@pytest.mark.parametrize(
    "host", ["xn--", "xn--abc", "xn--\u00fc", "xn--99999999", "a\u0080.com", "xn--a"]
)
def test_an_international_name_that_browsers_refuse_is_compared_as_it_is(host):
    assert blocked_by(f"http://{host}/", domains=(host,)) == "domain"
    assert blocked_by("http://b.com/", domains=(host,)) == "none"


def test_words_and_paths_are_compared_with_percent_signs_decoded_once():
    words = {"strict_words": ("casino",), "hard_words": ("évil",), "soft_words": ("sex", "cam")}
    assert judged(
        Url(**words, urls=("http://a.org/Bad%2DPage", "http://a.org/é")),
        [
            *(
                "http://x.org/c%61s-in%6F",
                "http://x.org/a%2F%C3%A9vil",
                "http://x.org/%63am%20s%65x",
            ),
            *("http://a.org/B%61d-Page", "http://a.org/%c3%A9", "http://x.org/c%2561sino"),
            *("http://x.org/cas%6", "http://x.org/%", "http://x.org/%E9vil"),
        ],
    ) == [
        *(("strict_word", 0), ("hard_word", 0), ("none", 2), ("url", 0), ("url", 0)),
        *[("none", 0)] * 4,
    ]


def test_words_are_found_in_the_unicode_of_a_host():
    assert blocked_by("http://xn--k1aghg.xn--p1ai", strict_words=("слот",)) == "strict_word"
    assert blocked_by("http://СЛОТ.рф", hard_words=("слот",)) == "hard_word"


def test_a_strict_word_that_is_too_long_is_refused_on_loading():
    load(Url(strict_words=("a" * 256,)))
    with pytest.raises(FilterConfigError, match=r"strict word of 257 bytes .'aaaa.*at most 256"):
        load(Url(strict_words=("b", "-".join("a" * 257))))


def test_many_other_hosts_in_a_batch_leave_the_rest_as_it_is():
    hosts = ["bad.com", "münchen.de", "[::1]", "1.2.3.4", "xn--mnchen-3ya.de", "bad.com", "a.de"]
    rule = Url(domains=("bad.com", "münchen.de", "::1"), urls=("a.de/5",))
    urls = [f"http://{host}/{number % 7}" for number, host in enumerate(hosts * 50)]
    wanted = ["domain", "domain", "domain", "none", "domain", "domain", "none"]
    assert [code for code, _ in judged(rule, urls)] == wanted * 50
    assert judged(rule, [None, "http://a.de/5", "http://münchen.de"])[1:] == [
        ("url", 0),
        ("domain", 0),
    ]


@pytest.mark.parametrize("listed", ["münchen.de", "xn--mnchen-3ya.de", "MÜNCHEN.de"])
def test_an_international_domain_is_found_in_both_spellings(listed):
    for url in ("http://www.münchen.de/x", "http://xn--mnchen-3ya.de"):
        assert blocked_by(url, domains=(listed,)) == "domain"


def test_a_document_without_a_url_is_kept_unless_told_otherwise():
    urls = [None, " ", "http://", "http://x.org"]
    for keep_missing in (True, False):
        rule = Url(domains=("bad.com",), keep_missing=keep_missing)
        measured, mask = apply(rule, batch_of(urls))
        assert measured["blocked_by"].to_pylist() == [None, None, None, "none"]
        assert mask.to_pylist() == [*[keep_missing] * 3, True]
        rules = first_failures(rule, "url", measured)["rule"].to_pylist()
        assert rules == [*[None if keep_missing else "url.missing"] * 3, None]


def test_failures_say_what_blocks_and_how_many_soft_words_there_are():
    rule = Url(domains=("bad.com",), soft_words=("a", "b", "c"), max_soft_words=2)
    urls = ["http://bad.com/a/b/c", "http://x.org/a/b/c", "http://x.org/a/b"]
    failed = first_failures(rule, "url", apply(rule, batch_of(urls))[0])
    assert failed.to_pylist() == [
        {"rule": "url.domain", "value": None, "threshold": None},
        {"rule": "url.num_soft_words", "value": 3.0, "threshold": 2.0},
        {"rule": None, "value": None, "threshold": None},
    ]


HOSTS_FILE = """\ufeff# a list
0.0.0.0 bad.com  worse.com # with a comment
127.0.0.1\tads.net
::1 six.net
plain.org
  indented.org\t
*.star.org
.dot.org#no-comment

#off.org
"""


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_files_may_be_compressed_and_in_the_format_of_hosts(compressed, line_end, tmp_path):
    contents = HOSTS_FILE.replace("\n", line_end).encode()
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(contents) if compressed else contents)
    rule = Url(domain_files=(str(path),), domains=("more.net",))
    hosts = ["bad.com", "worse.com", "ads.net", "six.net", "plain.org", "indented.org", "star.org"]
    hosts += ["dot.org", "more.net", "off.org", "comment", "a"]
    found = [code for code, _ in judged(rule, [f"http://{host}/" for host in hosts])]
    assert found == ["domain"] * 9 + ["none"] * 3


def test_every_list_can_be_a_file(tmp_path):
    rows = []
    for name, entries in LISTS.items():
        path = tmp_path / name
        path.write_text("\n".join(entries))
        rows.append((f"{name.removesuffix('s')}_files", (str(path),)))
    urls = ["http://bad.com", "http://half.com/q?a=1", "http://c-a-s-i-n-o-club", "http://porn.org"]
    urls += ["http://sex-webcam.org", "http://good.bad.com/porn"]
    assert judged(Url(**dict(rows)), urls) == judged(Url(**LISTS), urls)


def test_a_hundred_thousand_domains_are_all_found_and_their_neighbours_are_not():
    listed = [f"site{number}.example{number % 97}.com" for number in range(100_000)]
    rule = Url(domains=tuple(listed))
    found = judged(rule, [f"http://a.{host}/x" for host in listed])
    assert found == [("domain", 0)] * len(listed)
    others = judged(rule, [f"http://{host}m" for host in listed])
    assert others == [("none", 0)] * len(listed)


@pytest.mark.parametrize("contents", [None, b"\xff\xfe", b"\x1f\x8b broken"])
def test_a_list_that_cannot_be_read_is_named(contents, tmp_path):
    path = tmp_path / "list.txt"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(FilterLoadError, match=r"url: cannot read the list .*list\.txt"):
        load(Url(url_files=(str(path),)))


@pytest.mark.parametrize("name", ["hard_words", "soft_words"])
def test_a_word_that_is_none_is_refused_on_loading(name):
    with pytest.raises(FilterConfigError, match="got the word 'web-cam'"):
        load(Url(**{name: ("web-cam",)}))


def test_a_batch_without_the_column_is_refused():
    batch = pa.RecordBatch.from_arrays([pa.array(["x"])], names=["text"])
    with pytest.raises(FilterError, match=r"\['text'\], want one named url"):
        apply(Url(domains=("bad.com",)), batch)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "got no block list, want at least one of domains"),
        ({"allow_domains": ("good.com",)}, "got no block list"),
        ({"domains": ("bad.com",), "max_soft_words": -1}, "max_soft_words=-1, want >= 0"),
    ],
)
def test_bad_parameters_are_refused(bad, message):
    with pytest.raises(FilterConfigError, match=message):
        Url(**bad)


def test_thresholds_are_what_keep_alone_reads():
    assert threshold_names(Url) == {"max_soft_words", "keep_missing"}


def test_an_instance_pickles_small_without_its_lists(tmp_path):
    path = tmp_path / "list"
    path.write_text("\n".join(f"site{number}.com" for number in range(10_000)))
    rule = Url(domain_files=(str(path),))
    load(rule)
    pickled = pickle.dumps(rule)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) == rule


@pytest.mark.slow
@pytest.mark.skipif("HEADWATER_CORPUS" not in os.environ, reason="HEADWATER_CORPUS names no corpus")
def test_on_a_corpus_urls_are_judged_as_by_the_reference():
    lists = {
        "domains": ("python.org", "debian.org", "de"),
        "urls": ("https://docs.python.org/3/library/re.html",),
        "strict_words": ("html5", "gnome"),
        "hard_words": ("usr", "index"),
        "soft_words": ("doc", "html", "en", "c"),
    }
    rule, reference, num_compared = Url(**lists), Reference(**lists), 0
    for path in sorted(Path(os.environ["HEADWATER_CORPUS"]).glob("docs-*.parquet")):
        urls = pq.read_table(path, columns=["url"])["url"].to_pylist()
        assert judged(rule, urls) == [reference.judge(url) for url in urls]
        num_compared += len(urls)
    print(f"{num_compared} documents")
    assert num_compared > 20_000


@pytest.mark.parametrize("kind", ["domain", "url", "strict_word", "hard_word", "soft_word"])
def test_a_list_that_changes_is_read_again(tmp_path, kind):
    path = tmp_path / "list"
    rule = Url(**{f"{kind}_files": (str(path),)}, max_soft_words=0)
    for entry, kept in (("bad", False), ("worse", True)):
        path.write_text(entry)
        batch = pa.RecordBatch.from_pydict({"text": ["a"], "url": ["http://bad"]})
        assert apply(rule, batch)[1].to_pylist() == [kept]


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(FilterLoadError, match=r"url: cannot read the list 'a\\x00'"):
        load(Url(domain_files=("a\x00",)))


def test_urls_may_be_of_type_null_or_encoded_and_nothing_but_strings():
    rule = Url(domains=("bad.com",))
    encoded = pa.array(["http://bad.com", None, "http://good.com"]).dictionary_encode()
    for urls, wanted in (
        (pa.nulls(3), [None] * 3),
        (encoded, ["domain", None, "none"]),
        (encoded.cast(pa.large_string()), ["domain", None, "none"]),
    ):
        batch = pa.RecordBatch.from_arrays([pa.nulls(3, pa.string()), urls], names=["text", "url"])
        assert apply(rule, batch)[0]["blocked_by"].to_pylist() == wanted
    batch = pa.RecordBatch.from_pydict({"text": ["a"], "url": [1]})
    with pytest.raises(FilterError, match="got the column url of type int64, want strings"):
        apply(rule, batch)
