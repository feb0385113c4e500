"""Words of telephony, before a number that could be any other without one."""

import re

from pipeline.text.pii.recognizer import label_of

_NOUNS = """
    phone phones telephone telephones fax faxes tel tél téléphone teléfono telefono telefone
    telefoon telefoonnummer telefon telefonnummer telefonu telefonem tlf ph cell cellulare celular
    mobil mobile móvil handy handynummer portable rufnummer sms whatsapp hotline helpline landline
    mob fon phonenumber phonenum phoneno phonenr mobileno mobilenumber mobilephone cellphone telno
    telnr telephonenumber faxnumber contactnumber whatsappnumber
"""
# in alphabets whose words `_WORD` cannot tell apart or put in lower case
_ELSEWHERE = """
    手机 手機 电话 電話 座机 传真 傳真 热线 联系方式 携帯 ファックス ファクス 連絡先 전화 휴대폰
    핸드폰 연락처 팩스 телефон Телефон ТЕЛЕФОН моб. Моб. мобильный Мобильный факс Факс
    τηλ Τηλ هاتف جوال טלפון נייד फ़ोन मोबाइल
"""  # noqa: RUF001
_IS_ELSEWHERE = re.compile(
    b"|".join(re.escape(word.encode()) for word in _ELSEWHERE.split())
    # Russian tel., but not the end of a longer word
    + rb"|(?<![\xd0\xd1][\x80-\xbf])(?:\xd1\x82|\xd0\xa2)\xd0\xb5\xd0\xbb[.: ]"
)
# parts of names in programs: `customerPhone`, `phoneNumber`
_IN_NAMES = re.compile(
    rb"(?<=[a-z])(?:Phone|Telephone|Mobile|Cell|Fax|Tel)(?![a-z])"
    rb"|(?<![A-Za-z])(?:(?:tele|mobile|cell|home|work)?[Pp]hone|mobile|fax)(?=[A-Z])"
)
# more often names in programs: `text.replace("123")`, `call(...)`
_VERBS = b"""
    call calling called dial text contact voice reach desk office message messages answering
    registered
"""
_CALLS = (b"", b".", b"_", b"(", b"=", b"[", b"-")  # with one of these a verb is such a name
_TELEPHONY = frozenset(
    (*_VERBS.split(), *(noun + sign for noun in _NOUNS.encode().split() for sign in _CALLS))
)
_WORD = re.compile(rb"[a-z\x80-\xff]+[._(=\[-]?")


def follows_telephony(match: re.Match[bytes]) -> bool:
    """Whether a word of telephony stands before it; a set of words takes a sixth of a pattern."""
    context = label_of(match)
    if not _TELEPHONY.isdisjoint(_WORD.findall(context.lower())):
        return True
    if not context.isascii() and _IS_ELSEWHERE.search(context):
        return True
    return _IN_NAMES.search(context) is not None
