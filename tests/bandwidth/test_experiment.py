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
from esrt_privacy.wire.errors import WireError


@pytest.fixture(scope="module")
def run(tiny_speech, tiny_system, tiny_weights, tiny_cache) -> record.Bandwidth:
    """Thirty draws of 24 recordings; three are listened to."""
    request = BandwidthRequest(
        samples=30,
        corpus=str(tiny_speech),
        system=str(tiny_system),
        listened=3,
        languages=4,
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
    assert kinds == {(1, False), (4, False), (4, True)}
    assert len(run.transfers) == len(run.formats) * 3 * 9


def test_every_draw_of_the_tensor_crosses_with_all_its_languages(run):
    rows = {row.name: row for row in run.connection.crossings}
    plain = rows["tensor-80x768-bf16"]
    assert (plain.recordings_crossed, plain.identifiers_crossed) == (30, 30 * 3)
    assert 122_880 < plain.up.value <= 1.02 * 122_880
    assert plain.identifier_up <= 200
    traffic = {(r.languages, r.cached): r for r in run.connection.traffic if r.name == plain.name}
    cached = traffic[4, True]
    assert cached.requests == cached.crossed == 120
    assert cached.up == pytest.approx(
        30 * plain.up.value + 90 * plain.identifier_up + plain.opening_up
    )
    assert traffic[4, False].up == pytest.approx(120 * plain.up.value + plain.opening_up)


def test_every_distinct_recording_crosses_in_every_audio_format(run):
    bodies = {row.name: row.bytes_per_recording.value for row in run.formats}
    audio = {row.name for row in run.formats if row.kind == "audio"}
    assert {row.name for row in run.connection.crossings} == {row.name for row in run.formats}
    for row in run.connection.crossings:
        assert row.up.value > bodies[row.name] > 0
        if row.name in audio:
            # once each, and one of them in three further languages, whole and by name
            assert row.recordings_crossed == run.corpus.distinct + 3
            assert row.identifiers_crossed == 3
            assert row.up.low < row.up.value < row.up.high
        assert 0 < row.beside_least <= row.beside_most < 0.02 * bodies[row.name] + 700


def test_headers_of_tcp_and_ip_are_estimated_apart(run):
    for row in run.connection.traffic:
        # 52 of 1,500 bytes at least, and no more than four packets for each small request and answer
        assert row.headers_up >= row.up * 52 / 1_448
        assert row.headers_up <= row.up * 52 / 1_448 + 4 * 52 * row.requests + 1_000


def test_times_are_of_what_crossed(run):
    (one,) = (
        row
        for row in run.transfers
        if (row.name, row.languages, row.rate_mbit, row.round_trip_ms)
        == ("tensor-80x768-bf16", 1, 1.0, 20.0)
    )
    plain = next(r for r in run.connection.crossings if r.name == one.name)
    assert plain.up.value * 1.03 < one.bytes_per_recording < plain.up.value * 1.05
    both_ways = one.bytes_per_recording + plain.down + plain.opening_up + plain.opening_down
    assert one.seconds_per_recording > 4 * 0.02 + both_ways * 8 / 1e6


@pytest.mark.parametrize("refused", [False, True])
def test_without_a_connection_bodies_alone_count_and_a_note_says_so(
    refused, tiny_speech, tiny_cache, monkeypatch
):
    def missing():
        raise WireError("the wire needs gRPC: pip install 'esrt-privacy[wire]'")

    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tiny_cache))
    monkeypatch.setattr(experiment, "STREAMS", 1)
    if refused:
        monkeypatch.setattr(experiment, "require_parts", missing)
    given = str(tiny_speech)
    request = BandwidthRequest(samples=3, corpus=given, listened=0, connection=refused)
    found = experiment.measure(request)
    assert found.connection is None
    assert "without a connection" in found.counted
    why = "needs gRPC" if refused else "--no-connection"
    assert any("no connection was made" in note and why in note for note in found.notes)
    assert found.transfers[0].bytes_per_recording == found.formats[0].bytes_per_recording.value
    assert "connection.csv" not in report.csv_tables(found)
    assert 'id="connection"' not in report.render_page(found)


def test_quality_is_measured_or_said_to_be_missing(run):
    heard = {row.name: row for row in run.quality}
    assert heard["wav-16"].stoi.value == pytest.approx(1, abs=1e-3)
    assert heard["opus-6"].stoi.value < heard["opus-32"].stoi.value
    assert heard["flac"].wer is not None
    assert any("no WER of transcripts from tensors" in note for note in run.notes)


def test_transcripts_of_tensors_are_scored(model, corpus, monkeypatch):
    few = corpus.select(ids={u.id for u in corpus.utterances[:3]})
    vectors, width = model.encode([few.utterances[0].waveform()]).shape[1:]
    kinds = [TensorFormat(vectors, width, "bf16"), TensorFormat(vectors, width, "int8")]
    encoded = []
    real = type(model).encode
    monkeypatch.setattr(
        type(model), "encode", lambda self, waves: encoded.extend(waves) or real(self, waves)
    )
    heard = quality.tensor_quality(model, few, kinds, seed=0, most_tokens=20)
    assert len(encoded) == len(few)  # once for both formats
    assert [row.name for row in heard] == [kind.name for kind in kinds]
    assert all(row.wer.value > 0 and row.stoi is None for row in heard)


def test_the_report_is_one_page_with_json_and_tables(run, tmp_path):
    page = report.write_report(run, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "http-equiv" in text
    assert text.count("<svg") == 3
    assert 'id="connection"' in text and "gRPC" in text and 'id="shaped"' not in text
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
    assert "crossed" in said and "TCP/IP headers" in said
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
        ("--languages", "0"), ("--languages", "1001"), ("--identifier-bytes", "0"), ("--seed", "-1"),
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
