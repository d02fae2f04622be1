"""The three tasks of the curriculum: what the LLM is given, and what it has to say.

task  reads             prompt                    target
ASR   audio             <|eng|>                   {text}
SMT   text only         {text}<|eng|><|deu|>      {translation}
SRT   audio             <|eng|><|deu|>            {text}<|eng|><|deu|>{translation}

`EsrtModel.loss` puts <bos> and the audio before, <eos> behind, and counts the target and <eos> only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from esrt_privacy.corpora import Utterance
from esrt_privacy.errors import ModelError, shown
from esrt_privacy.esrt.language_tags import Tags


class Task(StrEnum):
    """Recognition, text translation, and recognition followed by translation."""

    ASR = "asr"
    SMT = "smt"
    SRT = "srt"

    @property
    def reads_audio(self) -> bool:
        """Whether the audio vectors stand before the prompt."""
        return self is not Task.SMT

    @property
    def translates(self) -> bool:
        """Whether a row needs a target language."""
        return self is not Task.ASR


class Row(NamedTuple):
    """One utterance, in one target language where the task translates."""

    utterance: Utterance
    target: str | None

    @property
    def source(self) -> str:
        """The language spoken."""
        return self.utterance.language or ""

    @property
    def text(self) -> str:
        """What was said."""
        return (self.utterance.text or "").strip()

    @property
    def translation(self) -> str:
        """The text in the target language; empty without one."""
        return self.utterance.translations.get(self.target or "", "").strip()


class PlainText:
    """Tokenises the texts of a corpus, none of which may speak for the system.

    A text that spells a tag or a special token (`<|deu|>`, `<eos>`) would otherwise end the transcript
    or change the language: it is read as the characters that it is made of.
    """

    def __init__(self, tokenizer: Any, tags: Tags) -> None:
        self._tokenizer = tokenizer
        unknown = tokenizer.unk_token_id
        special = {token for token in tokenizer.all_special_ids if token != unknown}
        self._reserved = frozenset(special | set(tags.all_ids))

    def __call__(self, text: str) -> list[int]:
        """Token ids, none of them special. Raises ModelError where the tokenizer knows no other way."""
        ids = self._ids(text)
        if not self._reserved.isdisjoint(ids):
            # A tokenizer whose special tokens cannot be split; a broken bracket is no token of any.
            ids = self._ids(text.replace("<", "< "))
        if not self._reserved.isdisjoint(ids):
            raise ModelError(f"the text {shown(text, 60)!r} spells a special token: leave it out")
        return ids

    def _ids(self, text: str) -> list[int]:
        found = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return list(found["input_ids"])


def prompt_and_target(
    task: Task, row: Row, plain: PlainText, tags: Tags
) -> tuple[list[int], list[int]]:
    """Token ids of the prompt and of the target, as tabled above.

    Raises ValueError for a row without the texts of its task.
    """
    source = [tags.id(row.source)]
    if not row.text:
        raise ValueError(f"{row.utterance.id}: no text")
    if task is Task.ASR:
        return source, plain(row.text)
    if row.target is None or not row.translation:
        raise ValueError(f"{row.utterance.id}: no translation")
    both = [*source, tags.id(row.target)]
    if task is Task.SMT:
        return [*plain(row.text), *both], plain(row.translation)
    return both, [*plain(row.text), *both, *plain(row.translation)]
