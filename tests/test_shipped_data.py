"""What the package ships: sizes, and that its parts belong together."""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import ctc
import pytest
import reference_data
import torch
import train_reference

from esrt_privacy.assets import ASSETS, status
from esrt_privacy.assets.registry import Asset
from esrt_privacy.attacks.attackers import TrainedInverter, attackers_folder, shipped_inverter
from esrt_privacy.audit import ReconstructionRequest, reconstruct, shipped_split
from esrt_privacy.corpora import Corpus, load_corpus
from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.edge import read_config
from esrt_privacy.esrt.encoder import log_mel
from esrt_privacy.evaluation.evaluate import evaluate
from esrt_privacy.evaluation.translation import TranslationOptions
from esrt_privacy.findings import read_run
from esrt_privacy.systems.registry import build_system, reference_folder
from esrt_privacy.systems.whole import load_model

DATA = Path(str(resources.files("esrt_privacy") / "data"))
BINARIES = (".safetensors", ".flac", ".npz", ".pt")


@pytest.fixture(scope="module")
def fetched_weights() -> None:
    """Whisper-base, Whisper-tiny.en and GE2E, or the test is skipped."""
    _require(lambda asset: not asset.is_llm)


def _require(wanted: Callable[[Asset], bool]) -> None:
    """Skip the test where assets that it wants were not fetched and the user named no folder of weights."""
    missing = [r.name for r in status() if wanted(ASSETS[r.name]) and r.state != "fetched"]
    if missing and "ESRT_PRIVACY_WEIGHTS" not in os.environ:
        pytest.skip(f"no weights ({', '.join(missing)}): run esrt-privacy assets fetch")


def test_all_binaries_together_stay_below_90_megabytes() -> None:
    sizes = {p.name: p.stat().st_size for p in DATA.rglob("*") if p.suffix in BINARIES}
    assert sum(sizes.values()) <= 90e6
    assert sizes["qformer.safetensors"] <= 36e6
    assert sum(p.stat().st_size for p in (DATA / "demo").rglob("*") if p.is_file()) <= 20e6


def test_each_shipped_attacker_is_small_and_of_the_same_training() -> None:
    paths = sorted(attackers_folder().glob("reconstruction-*.safetensors"))
    attackers = [TrainedInverter.load(path, "shipped") for path in paths]
    assert {a.tap for a in attackers} == {"encoder", "qformer", "transparent"}
    assert all(path.stat().st_size <= 8e6 for path in paths)
    # A control speaks for a finding only with the same data, budget and seed.
    assert len({(a.utterances, a.budget, a.seed, a.trained_on) for a in attackers}) == 1


def test_the_shipped_adapter_is_the_reference() -> None:
    config = read_config(reference_folder())
    assert (config.encoder, config.qformer, config.queries) == (
        REFERENCE.encoder,
        REFERENCE.qformer,
        80,
    )


def test_no_demo_recording_voice_or_sentence_was_trained_on() -> None:
    split, heard = shipped_split()
    demo = load_corpus("demo")
    assert {split.role(u) for u in demo} == {"test"}
    assert not {u.fingerprint[:16] for u in demo} & heard


def test_the_demo_corpus_is_what_its_card_says() -> None:
    demo = load_corpus("demo")
    voices = defaultdict(set)
    for u in demo:
        voices[u.text].add(u.speaker)
        assert u.duration is not None
        assert 2.0 <= u.duration <= 10.0
    assert len(demo.speakers) >= 24
    assert len(voices) >= 200
    assert min(len(v) for v in voices.values()) >= 2
    card = (DATA / "demo" / "CARD.md").read_text(encoding="utf-8")
    assert f"{len(demo)} utterances of {len(voices)} sentences" in card


def test_the_card_says_that_the_tensor_carries_what_was_said() -> None:
    rows = json.loads((reference_folder() / "training.json").read_text(encoding="utf-8"))["cer"]
    cer = {(r["corpus"], r["language"], r["queries"]): r for r in rows}
    assert cer["an4", "eng", 80]["cer"] <= 0.15
    assert cer["synth-test", "eng", 80]["cer"] <= 0.30
    for queries in REFERENCE.qformer.query_sets:
        for corpus in ("an4", "demo", "synth-test"):
            row = cer[corpus, "eng", queries]
            # A tensor that carries nothing would do as well with another utterance's transcript.
            assert row["cer"] < row["cer_swapped"] - 0.3, row


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.usefixtures("fetched_weights")
def test_the_card_s_error_rate_on_the_demo_corpus_is_measured_again() -> None:
    """English utterances of the demo corpus, in float32, by the head that the card's table used."""
    qformer, head = train_reference.shipped()
    encoder = build_system("reference").edge.encoder
    demo = [u for u in load_corpus("demo") if u.language == "eng"][::7]
    frames = {}
    with torch.inference_mode():
        for start in range(0, len(demo), 8):
            batch = demo[start : start + 8]
            outputs = encoder(log_mel([u.waveform() for u in batch], 80))
            frames |= {u.fingerprint: f for u, f in zip(batch, outputs, strict=True)}
    rows = ctc.examples(Corpus("demo", tuple(demo)))
    heard = ctc.transcribe(qformer, head, 80, [row.key for row in rows], frames.__getitem__)
    cer, swapped = ctc.error_rates(rows, heard)
    training = train_reference.read_training()
    (said,) = (
        r["cer"]
        for r in training["cer"]
        if (r["corpus"], r["language"], r["queries"]) == ("demo", "eng", 80)
    )
    assert cer == pytest.approx(said, abs=0.05)
    assert swapped > cer + 0.3


@pytest.fixture(scope="module")
def fetched_llm(fetched_weights: None) -> None:
    """The reference's language model too, or the test is skipped."""
    _require(lambda asset: asset.is_llm)


def _scores() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        (reference_folder() / "scores.json").read_text(encoding="utf-8")
    )
    return rows


def test_the_card_says_that_the_reference_recognises_and_translates_unseen_sentences() -> None:
    rows = [r for r in _scores() if r["corpus"] == "phrasebook-test-sentences"]
    (wer,) = (r for r in rows if r["measure"] == "wer" and r["source"] == "eng")
    assert wer["value"] <= 0.20 < wer["floor"]
    translated = {r["target"]: r for r in rows if r["measure"] == "chrf" and r["source"] == "eng"}
    assert set(translated) == {"spa", "deu", "fra", "ita", "jpn"}
    for row in translated.values():
        assert row["value"] >= 50 and row["value"] >= row["floor"] + 25, row


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.usefixtures("fetched_llm")
def test_the_card_s_scores_of_held_out_sentences_are_measured_again() -> None:
    """Some recordings of voices and sentences that the reference was not trained on, into German."""
    split, heard = shipped_split()
    phrases = load_corpus(reference_data.PHRASEBOOK).select(corpus="phrasebook-test-sentences")
    rows = phrases.select(language="eng").utterances[::4]
    assert {split.role(u) for u in rows} == {"test"}
    assert not {u.fingerprint[:16] for u in rows} & heard
    corpus = replace(phrases, utterances=rows)
    asked = TranslationOptions(("deu",), most_tokens=100)
    scores = {
        s.measure: s for s in evaluate(load_model("reference"), corpus, asked, beams=(1,)).scores
    }
    assert scores["wer"].value <= 0.25
    assert scores["chrf"].value >= 50
    assert scores["chrf"].value >= scores["chrf"].floor + 25


@pytest.mark.weights
@pytest.mark.usefixtures("fetched_weights")
@pytest.mark.parametrize("tap", ["encoder", "transparent", "qformer"])
def test_the_shipped_attackers_are_found_by_the_reference(tap: str) -> None:
    system = build_system("reference")
    attacker = shipped_inverter(system.taps[tap])
    assert attacker is not None
    assert (attacker.model.config.vectors, attacker.model.config.width) == system.taps[tap].shape


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.usefixtures("fetched_weights")
def test_reconstruct_runs_on_the_demo_corpus_with_the_shipped_attackers(tmp_path: Path) -> None:
    done = reconstruct(ReconstructionRequest(out=tmp_path, utterances=8))
    run = read_run(tmp_path)
    assert run.findings == done.run.findings
    assert done.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    stoi = {f.tap: f for f in run.findings if f.metric == "STOI"}
    assert stoi["transparent"].estimate.value is not None
    assert stoi["transparent"].estimate.value > 0.6
    assert stoi["qformer"].ceiling is not None
    assert (stoi["qformer"].ceiling.value or 0) > 0.9
