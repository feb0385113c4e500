"""The rules of `url` in plain Python: a pattern parts URLs, lists are sets and strings."""

import ipaddress
import re
import string
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import idna

AROUND = "".join(map(chr, range(0x21)))  # control characters and the space
UPPER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
SEPARATORS = re.compile(r"[^A-Za-z0-9\x80-\U0010ffff]+")
WEB = re.compile(r"(?i)(?:https?|ftp|wss?):[/\\]*")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
HOST_AND_PORT = re.compile(r"[A-Za-z][A-Za-z0-9+-]*\.[A-Za-z0-9+.-]*:[0-9]*([/?#\\]|$)")
IPV6 = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?=/|$)")


def parts_of(url: str) -> tuple[str, str, bool]:
    """What names the host, what follows, and whether backslashes in that are slashes."""
    web, scheme = WEB.match(url), SCHEME.match(url)
    if HOST_AND_PORT.match(url):
        web = scheme = None
    if web:
        behind = url[web.end() :]
    elif scheme:
        behind = url[scheme.end() :]
        if not behind.startswith("//"):
            return "", behind, False
        end = re.search("[/?#]|$", behind[2:]).start() + 2
        return behind[2:end], behind[end:], False
    elif re.match(r"[/\\]{2}", url):
        behind = url.lstrip("/\\")
    elif url.startswith(("/", "\\", "?", "#", ".")):
        return "", url, True
    else:
        behind = url
    end = re.search(r"[/\\?#]|$", behind).start()
    return behind[:end], behind[end:], True


def decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def host_and_rest(url: str) -> tuple[str, str]:
    """The host, and the path with the query."""
    authority, rest, is_web = parts_of(re.sub("[\t\r\n]", "", url.strip(AROUND)))
    behind_user = authority.rpartition("@")[2]
    if "[" in behind_user:
        host = behind_user.partition("[")[2].partition("]")[0]
    else:
        host = behind_user.partition(":")[0]
    path, mark, query = rest.partition("#")[0].partition("?")
    path = path.replace("\\", "/") if is_web else path
    return spelled(decoded(host)), decoded(path + mark + query).rstrip("/?")


def spelled(host: str) -> str:
    host = host.translate(UPPER).rstrip(".")
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", host, re.ASCII) or ":" in host:
        try:
            return ipaddress.ip_address(host).compressed
        except ValueError:
            return host
    if host.isascii():
        return host
    try:
        return idna.uts46_remap(host, std3_rules=False).rstrip(".")
    except idna.IDNAError:
        return host


def normal_form(url: str) -> str:
    return "".join(host_and_rest(url))


def words_of(form: str) -> set[str]:
    return set(SEPARATORS.split(form.translate(UPPER))) - {""}


@dataclass(frozen=True)
class Reference:
    """The lists as a manifest gives them; "xn--" and numbers for addresses are not looked after."""

    domains: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    strict_words: tuple[str, ...] = ()
    hard_words: tuple[str, ...] = ()
    soft_words: tuple[str, ...] = ()
    allow_domains: tuple[str, ...] = ()

    def judge(self, url: str | None) -> tuple[str | None, int | None]:
        """`blocked_by` and `num_soft_words`."""
        host, rest = host_and_rest(url or "")
        if not host + rest:
            return None, None
        if under(host, self.allow_domains):
            return "none", 0
        words = words_of(host + rest)
        num_soft = len(words & {word.translate(UPPER) for word in self.soft_words})
        squeezed = SEPARATORS.sub("", (host + rest).translate(UPPER))
        strict = [SEPARATORS.sub("", word.translate(UPPER)) for word in self.strict_words]
        if under(host, self.domains):
            return "domain", num_soft
        if host + rest in map(normal_form, self.urls):
            return "url", num_soft
        if any(word and word in squeezed for word in strict):
            return "strict_word", num_soft
        if words & {word.translate(UPPER) for word in self.hard_words}:
            return "hard_word", num_soft
        return "none", num_soft


def under(host: str, domains: tuple[str, ...]) -> bool:
    entries = (IPV6.sub(r"[\g<0>]", domain.lstrip("*."), count=1) for domain in domains)
    listed = {host_and_rest(entry)[0] for entry in entries} - {""}
    labels = host.split(".")
    return any(".".join(labels[first:]) in listed for first in range(len(labels)))
