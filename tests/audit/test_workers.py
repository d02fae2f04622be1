"""Parts in processes of their own: what they answer, and what is said when one cannot."""

import os
from pathlib import Path

import pytest
import torch

from esrt_privacy.attacks.answers import Answers
from esrt_privacy.audit.parts import Part, Target
from esrt_privacy.audit.workers import one_thread, run_parts
from esrt_privacy.corpora import Corpus
from esrt_privacy.errors import AttackError
from tests.audit import unruly_family
from tests.audit.unruly_family import ANSWERS, BREAKS, CANNOT, DIES, TIDIES

NOBODY = Corpus("made", ())
TARGET = Target("made", NOBODY, None, {}, NOBODY, {}, seed=0, folds=5, budget=1.0)


def parts(folder: Path, *seeds: int) -> list[Part]:
    return [
        Part(0, "unruly", unruly_family.__name__, f"tap{place}", seed, folder / f"{place}")
        for place, seed in enumerate(seeds)
    ]


def run(wanted: list[Part], jobs: int, told: list[str] | None = None) -> dict[Part, str]:
    said = told if told is not None else []
    return run_parts(wanted, [TARGET], jobs, lambda label, done, total: said.append(label))


def test_one_process_answers_in_order_and_goes_on_after_a_failure(tmp_path):
    wanted = parts(tmp_path, ANSWERS, CANNOT, ANSWERS)
    assert run(wanted, 1) == {wanted[1]: "one speaker only"}
    assert Answers.load(wanted[2].answers).rows["process"] == (str(os.getpid()),)
    assert not wanted[1].answers.exists()


def test_one_thread_is_used_and_given_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_fault_ends_the_run(tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(parts(tmp_path, BREAKS, ANSWERS), 1)


@pytest.mark.slow
def test_processes_answer_on_one_thread_each_and_tell_how_far_they_are(tmp_path):
    told: list[str] = []
    wanted = parts(tmp_path, ANSWERS, CANNOT, ANSWERS)
    assert run(wanted, 2, told) == {wanted[1]: "one speaker only"}
    answers = [Answers.load(wanted[place].answers) for place in (0, 2)]
    assert all(a.arrays["threads"].tolist() == [1] for a in answers)
    assert str(os.getpid()) not in {a.rows["process"][0] for a in answers}
    assert "unruly at tap0, seed 0: counting" in told
    assert told.count("attacking in 3 parts") == 4


@pytest.mark.slow
def test_a_fault_in_a_process_ends_the_run_with_its_trace(tmp_path):
    with pytest.raises(RuntimeError, match=r"unruly at tap[01], seed 2:(.|\n)*a fault"):
        run(parts(tmp_path, BREAKS, BREAKS), 2)


@pytest.mark.slow
def test_a_process_that_dies_is_one_line(tmp_path):
    with pytest.raises(AttackError, match="ended with code 9") as caught:
        run(parts(tmp_path, DIES, DIES), 2)
    assert "--jobs" in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_processes_put_away_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("UNRULY_TIDIED", str(tmp_path / "tidied"))
    assert run(parts(tmp_path, TIDIES, ANSWERS), 2) == {}
    assert (tmp_path / "tidied").exists()
