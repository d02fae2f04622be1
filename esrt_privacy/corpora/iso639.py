"""Language tags of corpora brought to ISO 639-3.

FLEURS writes ``en_us`` and ``cmn_hans_cn``, Common Voice ``en``, ``sv-SE`` and ``zh-CN``. ISO 639-1
is translated by the standard's own table, except where it names a group of languages: there the one
that FLORES-101, FLEURS and the ESRT paper mean is taken.
"""

from __future__ import annotations

import re

# ISO 639-1 to ISO 639-3, every code of the standard: two letters, then three.
_TABLE = """
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul
    bibis bmbam bnben bobod brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym
    dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo esspa etest eueus fafas ffful fifin fjfij
    fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat
    huhun hyhye hzher iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav
    kakat kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir
    lalat lbltz lglug lilim lnlin lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon
    mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo nlnld nnnno nonor nrnbl nvnav nynya
    ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh rnrun roron rurus
    rwkin sasan scsrd sdsnd sesme sgsag shhbs sisin skslk slslv smsmo snsna sosom sqsqi srsrp
    ssssw stsot susun svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur
    tstso tttat twtwi tytah uguig ukukr ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid
    yoyor zazha zhzho zuzul
"""
_FROM_TWO = {entry[:2]: entry[2:] for entry in _TABLE.split()}
# Where a corpus says the group, or its own name for it, and means this one.
_MEANT = {
    "aze": "azj",
    "fil": "tgl",
    "nep": "npi",
    "nor": "nob",
    "ori": "ory",
    "swa": "swh",
    "zho": "cmn",
}
_BY_REGION = {("zho", "hk"): "yue"}  # Common Voice's zh-HK is spoken Cantonese
_SUBTAG = re.compile(r"[-_]")


def iso639_3(tag: str) -> str | None:
    """The ISO 639-3 code of a BCP 47 tag, with ``-`` or ``_``; None where it has none.

    Three letters are believed to be ISO 639-3 already.
    """
    first, *others = _SUBTAG.split(tag.strip().lower())
    code = first if len(first) == 3 else _FROM_TWO.get(first)
    if code is None or not (code.isascii() and code.isalpha()):
        return None
    for region in others:
        if (code, region) in _BY_REGION:
            return _BY_REGION[code, region]
    return _MEANT.get(code, code)
