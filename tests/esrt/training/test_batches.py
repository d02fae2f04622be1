"""What a step trains on is a function of seed, stage and step."""

from collections import Counter

import pytest

from esrt_privacy.corpora import Utterance
from esrt_privacy.esrt.training.batches import WINDOW, Sampler, share_of
from esrt_privacy.esrt.training.material import Material
from esrt_privacy.esrt.training.tasks import Task

COUNTS = {"eng": 90, "deu": 10}


@pytest.fixture
def materials(tmp_path):
    utterances = [
        Utterance(f"{code}{n}", tmp_path / "a.flac", language=code, text="one " * (1 + n % 9))
        for code, count in COUNTS.items()
        for n in range(count)
    ]
    units = {("deu", None): list(range(90, 100)), ("eng", None): list(range(90))}
    return {task: Material(task, utterances, units, ()) for task in (Task.ASR, Task.SMT)}


def sampler(materials, seed=0, stage=1, steps=400, size=5, temperature=1.0, weights=None):
    return Sampler(
        materials,
        weights or {Task.ASR: 0.2, Task.SMT: 0.8},
        steps=steps,
        size=size,
        temperature=temperature,
        query_sets=(80, 40),
        seed=seed,
        stage=stage,
    )


def test_step_is_the_same_however_it_is_reached(materials):
    walked = [sampler(materials)[n] for n in range(400)]
    forward = sampler(materials)
    assert [forward[n] for n in range(400)] == walked
    jumping = sampler(materials)
    for n in (399, 3, 250, 251, 0, 120):
        assert jumping[n] == walked[n]


def test_seed_and_stage_change_the_rows(materials):
    first = [sampler(materials)[n].rows for n in range(20)]
    assert [sampler(materials, seed=1)[n].rows for n in range(20)] != first
    assert [sampler(materials, stage=2)[n].rows for n in range(20)] != first


def test_tasks_come_in_their_shares_all_the_time(materials):
    drawn = sampler(materials)
    tasks = [drawn[n].task for n in range(400)]
    assert 78 <= tasks.count(Task.ASR) <= 82
    for start in range(0, 400, 50):
        assert 8 <= tasks[start : start + 50].count(Task.ASR) <= 12


def test_both_query_sets_are_drawn(materials):
    drawn = sampler(materials)
    sets = Counter(drawn[n].queries for n in range(400))
    assert set(sets) == {80, 40}
    assert min(sets.values()) > 150


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.1), (2.0, 0.25), (1e9, 0.5)])
def test_languages_come_in_the_shares_of_the_temperature(materials, temperature, share):
    drawn = sampler(materials, temperature=temperature, weights={Task.ASR: 1.0})
    spoken = [row.source for n in range(400) for row in drawn[n].rows]
    assert spoken.count("deu") / len(spoken) == pytest.approx(share, abs=0.01)


def test_no_row_comes_back_before_all_of_its_language_have_been_seen(materials):
    drawn = sampler(materials, weights={Task.ASR: 1.0})
    # By windows: within one the rows are ordered by length.
    seen = Counter()
    for window in range(400 // WINDOW):
        for n in range(window * WINDOW, (window + 1) * WINDOW):
            seen.update(row.utterance.id for row in drawn[n].rows)
        for code, count in COUNTS.items():
            times = [seen[f"{code}{n}"] for n in range(count)]
            assert max(times) - min(times) <= 1


def test_rows_of_a_step_are_of_like_length(materials):
    drawn = sampler(materials, weights={Task.ASR: 1.0})
    spread = [
        max(len(r.text) for r in drawn[n].rows) - min(len(r.text) for r in drawn[n].rows)
        for n in range(400)
    ]
    assert sum(spread) / len(spread) < 8  # of at most 32 characters; chance gives 23


def test_processes_and_passes_share_the_rows_of_a_step_out():
    rows = list(range(12))
    parts = [share_of(rows, rank, 2, micro, 3) for micro in range(3) for rank in range(2)]
    assert all(len(part) == 2 for part in parts)
    assert sorted(n for part in parts for n in part) == rows
    assert share_of(rows, 0, 1, 0, 1) == rows
