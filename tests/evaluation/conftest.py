"""The tiny model of the ESRT tests, and recordings with texts and translations."""

from dataclasses import replace

import pytest

from esrt_privacy.corpora import Corpus, load_corpus
from tests.esrt.conftest import llm_folder, model, model_config, wire

__all__ = ["llm_folder", "model", "model_config", "wire"]


@pytest.fixture
def corpus(tiny_speech) -> Corpus:
    """Six recordings of three speakers, in two languages, each with a German text."""
    found = load_corpus(tiny_speech)
    chosen = [u for speaker in found.speakers[:3] for u in found.select(speaker=speaker)][:12:2]
    rows = [
        replace(
            u,
            language="spa" if n == 4 else "eng",
            text="one two three",
            translations={"deu": "eins zwei drei"},
        )
        for n, u in enumerate(chosen)
    ]
    return Corpus("rows", tuple(rows))


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch) -> None:
    """sacrebleu finds no model of the FLORES-200 tokeniser, and cannot download it."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    place = "sacrebleu.tokenizers.tokenizer_spm"
    monkeypatch.setattr(f"{place}.SACREBLEU_DIR", str(tmp_path / "sacrebleu"))
    monkeypatch.setattr(f"{place}.download_file", refused)
