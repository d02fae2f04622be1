"""The characters that the CTC warm-up spells with, and how texts are brought to them."""

from __future__ import annotations

import itertools
import unicodedata

BLANK = 0
CHARACTERS = " 'abcdefghijklmnopqrstuvwxyzáéíñóúü"
SIZE = len(CHARACTERS) + 1
_INDEX = {c: i + 1 for i, c in enumerate(CHARACTERS)}

# Modified Hepburn without macrons: a kana (or a kana with a small one) to Latin letters.
_ROWS = {
    "": "あいうえお",
    "k": "かきくけこ",
    "g": "がぎぐげご",
    "s": "さ\0すせそ",
    "z": "ざ\0ずぜぞ",
    "t": "た\0\0てと",
    "d": "だ\0\0でど",
    "n": "なにぬねの",
    "h": "はひ\0へほ",
    "b": "ばびぶべぼ",
    "p": "ぱぴぷぺぽ",
    "m": "まみむめも",
    "r": "らりるれろ",
}
_KANA = {
    kana: consonant + vowel
    for consonant, row in _ROWS.items()
    for kana, vowel in zip(row, "aiueo", strict=True)
    if kana != "\0"
}
_KANA |= {"し": "shi", "じ": "ji", "ち": "chi", "つ": "tsu", "ぢ": "ji", "づ": "zu", "ふ": "fu"}
_KANA |= {"や": "ya", "ゆ": "yu", "よ": "yo", "わ": "wa", "を": "o", "ん": "n", "ゔ": "vu"}
_SMALL_Y = {"ゃ": "a", "ゅ": "u", "ょ": "o"}
_SMALL_VOWELS = {"ぁ": "a", "ぃ": "i", "ぅ": "u", "ぇ": "e", "ぉ": "o"}


def spelled(text: str, language: str | None) -> str:
    """`text` in lower case, in `CHARACTERS` only; Japanese kana in Latin letters."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    if language == "jpn":
        text = romaji(text)
    kept = "".join(c if c in _INDEX else " " for c in text)
    return " ".join(kept.split())


def romaji(text: str) -> str:
    """Kana to Latin letters; other characters stay as they are."""
    # Katakana lies 0x60 above hiragana.
    text = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヴ" else c for c in text)
    out = ""
    double = False
    for c in text:
        if c == "っ":
            double = True
            continue
        if c in _SMALL_Y and out.endswith("i"):
            palatal = out.endswith(("shi", "chi", "ji"))
            out = out[:-1] + ("" if palatal else "y") + _SMALL_Y[c]
            continue
        if c in _SMALL_VOWELS and out and out[-1] in "aiueo":
            out = out[:-1] + _SMALL_VOWELS[c]
            continue
        if c == "ー":
            out += out[-1:] if out[-1:] in "aiueo" else ""
            continue
        letters = _KANA.get(c, c)
        if double and letters[:1].isalpha():
            out += "t" if letters.startswith("ch") else letters[0]
        double = False
        out += letters
    return out


def encode(text: str) -> list[int]:
    """Indices of a text that `spelled` made; 0 is the blank."""
    return [_INDEX[c] for c in text]


def decode(best: list[int]) -> str:
    """Greedy CTC: repeats merged, blanks dropped."""
    out = []
    last = BLANK
    for index in best:
        if index not in (last, BLANK):
            out.append(CHARACTERS[index - 1])
        last = index
    return " ".join("".join(out).split())


def steps_needed(indices: list[int]) -> int:
    """CTC steps that a target needs: one a character, and a blank between equal neighbours."""
    return len(indices) + sum(a == b for a, b in itertools.pairwise(indices))
