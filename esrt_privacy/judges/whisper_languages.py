"""Whisper's language codes by ISO 639-3, the codes that corpora here carry."""

from collections.abc import Mapping
from types import MappingProxyType

# One line per ten languages of whisper.tokenizer.LANGUAGES, in its order: Whisper's code, ISO 639-3.
_PAIRS = """
    en:eng zh:cmn de:deu es:spa ru:rus ko:kor fr:fra ja:jpn pt:por tr:tur
    pl:pol ca:cat nl:nld ar:ara sv:swe it:ita id:ind hi:hin fi:fin vi:vie
    he:heb uk:ukr el:ell ms:msa cs:ces ro:ron da:dan hu:hun ta:tam no:nor
    th:tha ur:urd hr:hrv bg:bul lt:lit la:lat mi:mri ml:mal cy:cym sk:slk
    te:tel fa:fas lv:lav bn:ben sr:srp az:aze sl:slv kn:kan et:est mk:mkd
    br:bre eu:eus is:isl hy:hye ne:nep mn:mon bs:bos kk:kaz sq:sqi sw:swa
    gl:glg mr:mar pa:pan si:sin km:khm sn:sna yo:yor so:som af:afr oc:oci
    ka:kat be:bel tg:tgk sd:snd gu:guj am:amh yi:yid lo:lao uz:uzb fo:fao
    ht:hat ps:pus tk:tuk nn:nno mt:mlt sa:san lb:ltz my:mya bo:bod tl:tgl
    mg:mlg as:asm tt:tat haw:haw ln:lin ha:hau ba:bak jw:jav su:sun yue:yue
"""
# Members of a macrolanguage, and the other codes in use, that Whisper has one token for.
_MEMBERS = """
    zh:zho no:nob ar:arb ms:zlm ms:zsm fa:pes lv:lvs az:azj mn:khk sq:als
    sw:swh ne:npi uz:uzn ps:pbt tl:fil mg:plt yi:ydd et:ekk
"""

_CODES: Mapping[str, str] = MappingProxyType(
    {iso: code for code, iso in (pair.split(":") for pair in (_PAIRS + _MEMBERS).split())}
)


def whisper_language(language: str) -> str | None:
    """Whisper's code ("en") of an ISO 639-3 code ("eng") or of itself; None if it has none."""
    language = language.lower()
    if language in _CODES:
        return _CODES[language]
    return language if language in _CODES.values() else None
