"""translate, evaluate and profile as a user types them."""

import json

import pytest
import soundfile
from typer.testing import CliRunner

from esrt_privacy.cli import app
from esrt_privacy.errors import EsrtPrivacyError


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def recordings(corpus, tmp_path):
    """A folder with a manifest of two recordings, their texts and translations."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    rows = []
    for u in corpus.utterances[:2]:
        name = u.id.replace("/", "-")
        soundfile.write(folder / f"{name}.wav", u.waveform(), 16_000)
        row = {"audio": f"{name}.wav", "id": name, "speaker": name, "language": "eng"}
        rows.append(row | {"text": u.text, "translations": dict(u.translations)})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(lines, encoding="utf-8")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_translate_prints_and_writes_every_answer(saved, recordings, tmp_path):
    out = tmp_path / "answers.jsonl"
    done = run(
        "translate",
        recordings,
        "--to",
        "deu,fra",
        "--model",
        saved,
        "--out",
        out,
        "--most-tokens",
        8,
    )
    assert done.exit_code == 0, done.output
    assert "deu:" in done.output and "wrong language" in done.output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 2 and rows[0]["answers"].keys() == {"deu", "fra"}


def test_evaluate_writes_scores_and_names_them_last(saved, recordings, tmp_path):
    out = tmp_path / "scores"
    arguments = ("evaluate", "--corpus", recordings, "--to", "deu", "--beam", "1,2")
    done = run(*arguments, "--model", saved, "--out", out, "--most-tokens", 8)
    assert done.exit_code == 0, done.output
    body = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert {s["beam"] for s in body["scores"]} == {1, 2}
    assert body["command"].startswith("esrt-privacy")


def test_an_unknown_language_is_the_packages_own_error(saved, recordings):
    done = run("translate", recordings, "--to", "germn", "--model", saved)
    assert isinstance(done.exception, EsrtPrivacyError)
    assert "unknown language 'germn'" in str(done.exception)


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", "--corpus", "x", "--beam", "0"), ("profile", "--part", "wire")],
)
def test_options_that_mean_nothing_are_not_understood(arguments):
    assert run(*arguments).exit_code == 2
