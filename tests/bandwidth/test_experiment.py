"""A whole run on a tiny system: what it measures, writes and says."""

import csv
import json
import sys

import pytest

from esrt_privacy import cli
from esrt_privacy.bandwidth import experiment, quality, record, report
from esrt_privacy.bandwidth.options import BandwidthRequest
from esrt_privacy.bandwidth.tensors import TensorFormat
from esrt_privacy.errors import ReportError


@pytest.fixture(scope="module")
def run(tiny_speech, tiny_system, tiny_weights, tiny_cache) -> record.Bandwidth:
    """Thirty draws of 24 recordings; three are listened to."""
    request = BandwidthRequest(
        samples=30,
        corpus=str(tiny_speech),
        system=str(tiny_system),
        listened=3,
        weights=tiny_weights,
        command="esrt-privacy bandwidth --samples 30",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESRT_PRIVACY_CACHE", str(tiny_cache))
        patch.setattr(experiment, "STREAMS", 1)
        return experiment.measure(request)


def test_a_run_counts_its_draws_and_says_how(run):
    assert run.corpus.samples == 30
    assert run.corpus.with_replacement
    assert "payload" in run.counted
    assert any("with replacement" in note for note in run.corpus.notes)
    assert any("zstd sizes are means over 3 real tensors" in note for note in run.notes)


def test_tensor_sizes_follow_from_the_shape_for_every_draw(run):
    size = len(TensorFormat(80, 768, "bf16").blank())
    assert run.format("tensor-80x768-bf16").total_bytes == 30 * size
    real = run.format("tensor-8x24-bf16-zstd")
    assert real.basis.startswith("mean of 3 tensors of tiny")
    assert real.total_bytes == pytest.approx(30 * real.bytes_per_recording.value)


def test_every_audio_format_meets_every_tensor_format(run):
    audio = {row.name for row in run.formats if row.kind == "audio"}
    tensors = {row.name for row in run.formats if row.kind == "tensor"}
    assert {(row.audio, row.tensor) for row in run.break_even} == {
        (a, t) for a in audio for t in tensors
    }
    found = {(row.audio, row.tensor): row for row in run.break_even}
    # header and container move 3.84 s a little
    assert found["wav-16", "tensor-80x768-bf16"].seconds == pytest.approx(3.84, abs=0.01)
    assert found["opus-6", "tensor-80x768-bf16"].says == "never within 30 s"


def test_times_are_computed_for_every_link_language_and_cache(run):
    kinds = {(r.languages, r.cached) for r in run.transfers}
    assert kinds == {(1, False), (44, False), (44, True)}
    assert len(run.transfers) == len(run.formats) * 3 * 9


def test_quality_is_measured_or_said_to_be_missing(run):
    heard = {row.name: row for row in run.quality}
    assert heard["wav-16"].stoi.value == pytest.approx(1, abs=1e-3)
    assert heard["opus-6"].stoi.value < heard["opus-32"].stoi.value
    assert heard["flac"].wer is not None
    assert any("no WER of transcripts from tensors" in note for note in run.notes)


def test_transcripts_of_tensors_are_scored(model, corpus):
    few = corpus.select(ids={u.id for u in corpus.utterances[:3]})
    vectors, width = model.encode([few.utterances[0].waveform()]).shape[1:]
    kinds = [TensorFormat(vectors, width, "bf16"), TensorFormat(vectors, width, "int8")]
    heard = quality.tensor_quality(model, few, kinds, seed=0, most_tokens=20)
    assert [row.name for row in heard] == [kind.name for kind in kinds]
    assert all(row.wer.value > 0 and row.stoi is None for row in heard)


def test_the_report_is_one_page_with_json_and_tables(run, tmp_path):
    page = report.write_report(run, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "http-equiv" in text
    assert text.count("<svg") == 3
    assert "never within" in text and "with replacement" in text
    written = json.loads((tmp_path / "bandwidth.json").read_text(encoding="utf-8"))
    assert record.Bandwidth.model_validate(written) == run
    for name, rows in report.csv_tables(run).items():
        with open(tmp_path / name, encoding="utf-8", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(rows) > 0


def test_hostile_names_are_only_text(run):
    corpus = run.corpus.model_copy(update={"name": "<script>alert(1)</script>"})
    text = report.render_page(run.model_copy(update={"corpus": corpus}))
    assert "<script>" not in text


def test_the_shipped_schema_is_the_one_the_models_give():
    from importlib import resources

    shipped = resources.files("esrt_privacy") / "bandwidth" / "schema" / record.SCHEMA_FILE
    remedy = "write esrt_privacy.bandwidth.record.schema_text() to the shipped file"
    assert shipped.read_text(encoding="utf-8") == record.schema_text(), remedy


def test_a_record_that_does_not_fit_the_schema_is_not_written(run, tmp_path):
    with pytest.raises(ReportError, match="schema"):
        record.write_record(run.model_copy(update={"seed": "none"}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_terminal_tables_hold_every_format_uncut(run, capsys):
    from rich.console import Console

    from esrt_privacy.bandwidth.terminal_tables import print_bandwidth

    print_bandwidth(run, Console(width=160))
    said = capsys.readouterr().out
    assert "tensor-80x768-bf16-json" in said and "never within 30 s" in said
    assert "62.5%" in said and "7.8125×" in said


# --- bad options: one line on standard error, exit code 1


def refused(arguments: list[str], capsys, monkeypatch) -> str:
    monkeypatch.setattr(sys, "argv", ["esrt-privacy", "bandwidth", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert end.value.code == 1
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--samples", "0"), ("--samples", "100000000"), ("--listened", "41"), ("--listened", "-1"),
        ("--languages", "0"), ("--identifier-bytes", "0"), ("--seed", "-1"),
        ("--rates", "fast"), ("--rates", "0"), ("--rates", ""), ("--rates", "1,2,3,4,5,6,7,8,9"),
        ("--round-trips", "20,-1"), ("--round-trips", "nan"),
        ("--files", "0"), ("--audio-mb", "0"), ("--tensor-mb", "-5"), ("--lite-mb", "nan"),
        ("--base64-factor", "0"), ("--link-mbit", "inf"), ("--window-seconds", "0"),
        ("--sample-rate", "0"), ("--sample-bytes", "-2"), ("--queries", "0"),
        ("--lite-queries", "0"), ("--width", "0"), ("--width", "100000000"),
        ("--value-bytes", "0"), ("--encoder-frames", "0"), ("--encoder-width", "0"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line_naming_its_option(name, value, capsys, monkeypatch, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    assert name in refused([f"{name}={value}", *out], capsys, monkeypatch)
    assert not (tmp_path / "out").exists()


def test_an_absent_corpus_and_an_unknown_system_are_one_line(capsys, monkeypatch, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    said = refused(["--corpus", str(tmp_path / "none"), *out], capsys, monkeypatch)
    assert "no such corpus" in said
    assert "unknown system" in refused(["--system", "nonsense", *out], capsys, monkeypatch)


def test_a_folder_that_cannot_be_made_is_one_line(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(["--out", str(tmp_path / "file" / "out")], capsys, monkeypatch)
    assert "--out" in said


def test_a_model_asked_for_by_name_has_to_be_there(tiny_speech, tiny_cache, monkeypatch, tmp_path):
    from esrt_privacy.errors import EsrtPrivacyError

    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tiny_cache))
    with pytest.raises(EsrtPrivacyError):
        experiment.measure(
            BandwidthRequest(samples=2, corpus=str(tiny_speech), model=str(tmp_path / "none"))
        )
