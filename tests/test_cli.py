"""The command line: what it says, on which stream, and with which exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esrt_privacy import audit, cli
from esrt_privacy.errors import AttackError
from tests import tiny


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the program, in this process."""
    monkeypatch.setattr(sys, "argv", ["esrt-privacy", *arguments])
    code: object = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    captured = capsys.readouterr()
    assert isinstance(code, int)
    return code, captured.out, captured.err


@pytest.fixture
def program(capsys, monkeypatch, own_cache):
    """Calls the program with a terminal wide enough for paths."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("ESRT_PRIVACY_WEIGHTS", raising=False)
    return lambda *arguments: run([str(a) for a in arguments], capsys, monkeypatch)


def one_line(said: tuple[int, str, str], *words: str) -> str:
    code, out, err = said
    assert code == 1
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("esrt-privacy: ")
    for word in words:
        assert word in err
    return err


def test_the_command_line_imports_nothing_heavy():
    heavy = ["torch", "transformers", "librosa", "matplotlib", "scipy", "sklearn", "numpy", "av"]
    code = f"import sys, esrt_privacy.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["reconstruct"],
        ["audit"],
        ["speaker"],
        ["assets"],
        ["corpora", "show"],
        ["captures", "show"],
    ],
)
def test_every_command_explains_itself(arguments):
    shown = CliRunner().invoke(cli.app, [*arguments, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output


@pytest.mark.parametrize(
    "arguments", [["dance"], ["reconstruct", "--speed", "9"], ["reconstruct", "--seed", "minus"]]
)
def test_a_command_that_is_not_understood_is_exit_code_2(program, arguments):
    code, out, err = program(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage" in err


def test_systems_are_listed_with_what_leaves_the_device(program):
    code, out, _ = program("systems")
    assert code == 0
    assert "esrt-4b" in out and "80×768 bf16" in out and "122,880" in out


def test_a_corpus_is_shown_with_its_notes_on_standard_error(program, tmp_path):
    tiny.write_speech(tmp_path, speakers=2, each=2, longest=1.2)
    (tmp_path / "speaker0" / "note.wav").write_text("this is text")
    code, out, err = program("corpora", "show", tmp_path)
    assert code == 0
    assert "utterances" in out and "4" in out
    assert len(err.splitlines()) == 1 and "note.wav" in err
    code, out, err = program("corpora", "show", tmp_path, "--decode")
    assert code == 0
    assert "note.wav" in err


def test_weights_are_listed(program):
    code, out, _ = program("assets", "list")
    assert code == 0
    assert "ge2e" in out and "whisper-tiny.en" in out


# --- bad input: one line on standard error, exit code 1


def test_an_empty_folder_is_one_line(program, tmp_path):
    one_line(program("reconstruct", "--corpus", tmp_path, "--out", tmp_path / "out"), str(tmp_path))
    one_line(program("corpora", "show", tmp_path), str(tmp_path))


def test_text_renamed_to_wav_is_one_line(program, tmp_path):
    (tmp_path / "speech.wav").write_text("this is text")
    one_line(program("reconstruct", "--corpus", tmp_path, "--out", tmp_path / "out"), "speech.wav")


def test_a_corpus_that_is_not_there_is_one_line(program, tmp_path):
    one_line(program("reconstruct", "--corpus", tmp_path / "absent"), "no such corpus")


@pytest.mark.parametrize("budget", ["soon", "0m", "-1 steps", "5 minutes and a bit", ""])
def test_a_budget_of_nonsense_is_one_line(program, tiny_speech, budget):
    one_line(program("reconstruct", "--corpus", tiny_speech, "--budget", budget), "write 5m")


def test_an_unknown_system_is_one_line(program, tiny_speech):
    said = program("reconstruct", "--corpus", tiny_speech, "--system", "whisper-for-all")
    one_line(said, "unknown system 'whisper-for-all'", "reference")


def test_an_unknown_tap_is_one_line(program, tiny_speech, tiny_system):
    said = program(
        "reconstruct", "--corpus", tiny_speech, "--system", tiny_system, "--tap", "encoder.9"
    )
    one_line(said, "no tap 'encoder.9'", "qformer")


def test_no_weights_and_no_network_is_one_line_with_the_command(
    program, tiny_speech, tiny_system, tmp_path, monkeypatch
):
    monkeypatch.setenv("ESRT_PRIVACY_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = program(
        "reconstruct", "--corpus", tiny_speech, "--system", tiny_system, "--out", tmp_path / "out"
    )
    one_line(said, "esrt-privacy assets fetch")


@pytest.fixture
def with_judge(program, tiny_judge, monkeypatch):
    monkeypatch.setattr(audit.reconstruction, "_judge", lambda weights: tiny_judge)
    return program


def test_two_utterances_only_cannot_be_divided_and_are_one_line(with_judge, tiny_system, tmp_path):
    few = tiny.write_speech(tmp_path / "few", speakers=1, each=2, longest=1.2)
    common = ["--system", tiny_system, "--corpus", few, "--out", tmp_path / "out"]
    one_line(with_judge("reconstruct", *common, "--train-corpus", few), "too few speakers")
    one_line(
        with_judge("reconstruct", *common), "no trained attacker ships for tiny", "--train-corpus"
    )


def test_three_utterances_to_train_on_are_too_few_in_one_line(
    with_judge, tiny_system, tiny_speech, tmp_path
):
    few = tiny.write_speech(tmp_path / "few", speakers=3, each=1, longest=1.2)
    for path in few.rglob("*.flac"):  # recordings that are not in the test corpus
        path.write_bytes(path.read_bytes())
    common = ["--system", tiny_system, "--corpus", tiny_speech, "--out", tmp_path / "out"]
    said = with_judge("reconstruct", *common, "--train-corpus", few, "--budget", "1 steps")
    assert said[0] == 1
    assert said[2].splitlines()[-1].startswith("esrt-privacy: ")
    assert "Traceback" not in said[2]


def test_a_damaged_checkpoint_is_one_line_that_names_it(
    with_judge, tiny_system, tiny_speech, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    common = ["--system", tiny_system, "--corpus", tiny_speech, "--out", out]
    command = ["reconstruct", *common, "--train-corpus", tiny_speech, "--budget", "1 steps"]

    def stop(*args: object) -> None:
        raise AttackError("stopped here")

    with monkeypatch.context() as patch:
        patch.setattr("esrt_privacy.attacks.reconstruction.attack", stop)
        assert with_judge(*command)[0] == 1
    (checkpoint,) = (out / "training").glob("qformer-*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    said = with_judge(*command)
    assert said[0] == 1
    assert checkpoint.name in said[2].splitlines()[-1]
    assert "delete it" in said[2].splitlines()[-1]


def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(program, monkeypatch, tiny_speech):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "reconstruct", interrupted)
    code, out, err = program("reconstruct", "--corpus", tiny_speech)
    assert code == 130
    assert out == ""
    assert "the same command goes on" in err.splitlines()[-1]


def test_the_report_is_the_last_line_of_standard_output(
    with_judge, tiny_system, tiny_speech, tmp_path
):
    out = tmp_path / "out"
    code, said, err = with_judge(
        "reconstruct",
        *("--system", tiny_system, "--corpus", tiny_speech, "--train-corpus", tiny_speech),
        *("--budget", "1 steps", "--out", out, "--utterances", "2"),
    )
    assert code == 0
    assert said.splitlines()[-1] == str(out / "report.html")
    assert Path(said.splitlines()[-1]).is_file()
    assert "tiny" in said
    # Not a terminal: each finished step is a line, once.
    steps = [line for line in err.splitlines() if line.endswith(": done")]
    assert len(steps) == len(set(steps)) >= 10
    assert any(line.startswith("training on qformer (1 steps)") for line in steps)


def test_the_program_runs_as_a_module():
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "esrt_privacy.cli", "reconstruct", "--budget", "x"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


# --- audits


def test_the_plans_are_listed_without_running_anything(program):
    code, out, _ = program("audit", "--list")
    assert code == 0
    assert "default" in out and "full" in out and "reconstruction" in out and "wire" in out


def test_a_plan_of_ones_own_is_listed(program, tmp_path):
    (tmp_path / "mine.toml").write_text('title = "mine"\n[[attacks]]\nname = "linkage"\n')
    code, out, _ = program("audit", tmp_path / "mine.toml", "--list")
    assert code == 0
    assert "linkage" in out and "structure" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "--plan", "grand"], "there are default, full"),
        (["audit", "nowhere.toml"], "nowhere.toml"),
        (["audit", "--channel", "loud"], "channel"),
        (["audit", "--corpus", "/nowhere/at/all"], "no such corpus"),
        (["linkage", "--channel", "-3"], "channel"),
        (["duration", "--budget", "nan"], "budget"),
        (["structure", "--system", "nothing"], "unknown system"),
    ],
)
def test_an_audit_that_cannot_be_is_one_line(program, tmp_path, arguments, words):
    one_line(program(*arguments, "--out", tmp_path / "out"), words)


def test_a_family_has_no_option_that_is_not_read(program):
    code, out, err = program("language", "--sped", "9")
    assert (code, out) == (2, "") and "Usage" in err


def test_an_audit_ends_with_a_table_and_its_page(program, monkeypatch, tiny_system, tmp_path):
    from esrt_privacy.attacks import families
    from tests.audit import tiny_family

    monkeypatch.setitem(families.MODULES, "tiny", tiny_family.__name__)
    corpus = tiny.write_speech(tmp_path / "speech", speakers=3, each=2, longest=1.2)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'title = "tiny"\nsystems = ["{tiny_system}"]\ncorpus = "{corpus}"\nchannel = "none"\n'
        'seeds = [0]\n[[attacks]]\nname = "tiny"\n'
    )
    out = tmp_path / "out"
    code, said, err = program("audit", plan, "--out", out, "--jobs", "1")
    assert code == 0, err
    assert said.splitlines()[-1] == str(out / "report.html")
    assert "tiny, semi-informed" in said  # the attack and the attacker
    assert "attacking in 2 parts: done" in err
