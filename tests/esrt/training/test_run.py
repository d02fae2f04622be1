"""The whole run: corpora, encoding, the command."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from esrt_privacy.cli import app
from esrt_privacy.errors import CorpusError, LanguageError, SystemUnavailable
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.training import encoding
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.metrics import read_metrics
from esrt_privacy.esrt.training.options import TrainingOptions
from esrt_privacy.esrt.training.run import TrainRequest, run, starting_model
from tests.esrt.training.conftest import write_parallel


@pytest.fixture
def start(fresh, tmp_path):
    """The folder of a whole model to start from."""
    fresh().save_pretrained(tmp_path / "start")
    return tmp_path / "start"


@pytest.fixture
def request_for(start, parallel, tmp_path, own_cache):
    """request_for(name, **changes) -> a short run on the recordings."""
    options = TrainingOptions(steps=(2,), batch=3, bfloat16=False, dropout=0.0)

    def made(name="out", options=options, **changes):
        base = TrainRequest((str(parallel),), tmp_path / name, adapter=start, options=options)
        return replace(base, **changes)

    return made


def test_recordings_are_encoded_once(request_for, parallel, own_cache, monkeypatch):
    run(request_for("first"))

    def again(*given):
        raise AssertionError("encoded again")

    monkeypatch.setattr(encoding, "log_mel", again)
    run(request_for("second"))


def test_frames_in_the_loop_train_as_the_stored_ones(request_for, tmp_path):
    run(request_for("stored"))
    options = replace(request_for().options, frames="live")
    run(request_for("live", options=options))
    stored, live = ([p.loss for p in read_metrics(tmp_path / name)] for name in ("stored", "live"))
    assert live == pytest.approx(stored, rel=1e-2)  # the store keeps float16


@pytest.mark.parametrize("frames", ["stored", "live"])
def test_recording_that_cannot_be_decoded_is_named_and_the_rest_trained_on(
    request_for, tmp_path, frames
):
    manifest = write_parallel(tmp_path / "damaged", {"eng": 4})
    audio = tmp_path / "damaged" / "eng2.flac"
    audio.write_bytes(audio.read_bytes()[:-2000] + bytes(2000))
    options = replace(request_for().options, frames=frames)
    done = run(request_for("out", corpora=(str(manifest),), options=options, stages=(1,)))
    assert any("left out" in note and "eng2.flac" in note for note in done.notes)
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["languages"]["eng"]["recordings"] == 3


def test_hours_limit_the_audio_and_are_recorded(request_for, tmp_path):
    done = run(request_for(hours=3.5 / 3600, stages=(1,)))
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    held = sum(row["hours"] for row in record["languages"].values()) * 3600
    assert 2.5 < held < 3.7  # each rounded to a third of a second
    assert set(record["languages"]) == {"eng", "deu", "spa"}
    assert any("within the limit of" in note for note in done.notes)
    with pytest.raises(TrainingError, match="no recording with a text is as short"):
        run(request_for("less", hours=1e-6))


def test_several_corpora_are_trained_on_together(request_for, parallel, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(parallel.parent, other)
    run(request_for(corpora=(str(parallel), str(other)), stages=(1,)))
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["languages"]["eng"]["recordings"] == 12
    assert [c["recordings"] for c in record["corpora"]] == [11, 11]


def test_run_starts_from_a_whole_model_or_an_edge_half(request_for, start, tiny_system):
    whole = starting_model(request_for())
    saved = EsrtModel.from_pretrained(start)
    for a, b in zip(whole.projector.parameters(), saved.projector.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(SystemUnavailable, match="not of reference"):
        starting_model(request_for(adapter=tiny_system, preset="reference"))
    with pytest.raises(SystemUnavailable, match="unknown system 'esrt-5b'"):
        starting_model(request_for(preset="esrt-5b"))


def test_corpus_in_an_unknown_language_is_one_line(request_for, parallel, tmp_path):
    text = parallel.read_text().replace('"deu"', '"germn"').replace('"eng"', '"germn"')
    folder = tmp_path / "germn"
    shutil.copytree(parallel.parent, folder)
    (folder / "manifest.jsonl").write_text(text.replace('"spa"', '"germn"'))
    with pytest.raises(LanguageError, match=r"unknown language 'germn'.* deu"):
        run(request_for(corpora=(str(folder),)))


def test_corpus_that_is_not_there_is_one_line(request_for):
    with pytest.raises(CorpusError, match="no such corpus"):
        run(request_for(corpora=("nowhere",)))


def test_command_trains_and_says_where_the_model_lies(start, parallel, tmp_path, own_cache):
    arguments = ["train", "--corpus", str(parallel), "--adapter", str(start)]
    arguments += ["--out", str(tmp_path / "out"), "--stage", "1,3", "--steps", "2,1"]
    arguments += ["--batch", "2", "--accumulate", "2", "--learning-rate", "1e-3", "--seed", "4"]
    arguments += ["--without", "lora", "--temperature", "3", "--queries", "4", "--warm-up", "5"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(tmp_path / "out")
    EsrtModel.from_pretrained(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert [(s["stage"], s["steps"]) for s in record["stages"]] == [(1, 2), (3, 1)]
    assert "LoRA" not in record["stages"][1]["trained"]
    options = record["options"]
    assert (options["seed"], options["temperature"], options["query_sets"]) == (4, 3.0, [4])
    assert record["rows_a_step"] == 4 and record["without"] == ["lora"]
    assert {p.queries for p in read_metrics(tmp_path / "out")} == {4}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "one"], "--stage one: give whole numbers"),
        (["--stage", "4"], "no stage 4"),
        (["--without", "stage"], "--without stage: give one of"),
        (["--schedule", "steep"], "schedule is one of constant"),
        (["--steps", "1,2"], "2 numbers of steps for 3 stages"),
    ],
)
def test_command_refuses_what_makes_no_sense_before_any_work(tmp_path, arguments, said):
    command = ["train", "--corpus", "nowhere", "--out", str(tmp_path / "out"), *arguments]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, TrainingError)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()
