"""An audit of recorded people's speech with the real judges: the ceiling and the floors are where they must be."""

import json
from pathlib import Path

import pytest

from esrt_privacy.attacks.hearing import Judge
from esrt_privacy.audit import ReconstructionRequest, reconstruct
from esrt_privacy.errors import AssetError
from esrt_privacy.judges.recogniser import Recogniser
from esrt_privacy.judges.speakers import Ge2e


@pytest.fixture(scope="module")
def real_judge() -> Judge:
    try:
        return Judge(Recogniser.load("whisper-tiny.en"), Ge2e.load())
    except AssetError as error:
        pytest.skip(str(error))


def part_of(speech: Path, corpus: str, folder: Path, most: int = 1000) -> Path:
    """A manifest of one corpus of the recorded speech, with absolute paths."""
    rows = map(json.loads, (speech / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    chosen = [row for row in rows if row["corpus"] == corpus][:most]
    path = folder / f"{corpus}.jsonl"
    lines = (json.dumps({**row, "audio": str(speech / row["audio"])}) for row in chosen)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.speech
@pytest.mark.weights
def test_recorded_speech_is_judged_between_floor_and_ceiling(
    real_judge, tiny_system, speech_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "cache"))
    vctk = part_of(speech_folder, "vctk", tmp_path)
    an4 = part_of(speech_folder, "an4", tmp_path, most=24)
    asked = ReconstructionRequest(
        system=str(tiny_system),
        corpus=str(vctk),
        train_corpus=str(an4),
        budget="3 steps",
        out=tmp_path / "out",
        utterances=6,
    )
    found = {
        f.id.removeprefix("reconstruction."): f
        for f in reconstruct(asked, judge=real_judge).run.findings
    }
    wer, stoi = found["qformer.wer"], found["qformer.stoi"]
    assert wer.ceiling.value < 25
    assert stoi.ceiling.value > 0.9
    assert wer.floors["mean mel"].value > 80
    assert stoi.floors["mean mel"].value < 0.5
    assert {f.verdict for name, f in found.items() if not name.endswith("length-error")} == {
        "invalid"
    }
    assert any("relative of the encoder" in note for note in wer.notes)
