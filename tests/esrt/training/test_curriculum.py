"""Stages, their task weights, what each trains, and the ablations."""

import pytest
import torch

from esrt_privacy.esrt.training.curriculum import STAGES, planned
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.tasks import Task

ASR, SMT, SRT = Task.ASR, Task.SMT, Task.SRT


def test_stages_weigh_their_tasks_as_in_the_paper():
    weights = [dict(stage.weights) for stage in STAGES]
    assert weights == [{ASR: 1.0}, {ASR: 0.2, SMT: 0.4, SRT: 0.4}, {ASR: 0.2, SRT: 0.8}]
    assert [stage.lora for stage in STAGES] == [False, False, True]
    assert all(stage.tags for stage in STAGES)


def test_stages_are_chosen_and_left_out():
    assert planned([1, 2, 3]) == STAGES
    assert planned([3, 1]) == (STAGES[0], STAGES[2])
    for number in (1, 2, 3):
        kept = planned([1, 2, 3], [f"stage-{number}"])
        assert [stage.number for stage in kept] == [n for n in (1, 2, 3) if n != number]


def test_without_lora_the_third_stage_has_none():
    assert [stage.lora for stage in planned([1, 2, 3], ["lora"])] == [False] * 3
    assert all(stage.tags for stage in planned([1, 2, 3], ["lora"]))


def test_without_tags_text_translation_trains_nothing_and_leaves_its_weight():
    stages = planned([1, 2, 3], ["tags"])
    assert not any(stage.tags for stage in stages)
    assert dict(stages[1].weights) == pytest.approx({ASR: 1 / 3, SRT: 2 / 3})
    assert dict(stages[2].weights) == pytest.approx({ASR: 0.2, SRT: 0.8})


@pytest.mark.parametrize(
    ("stages", "without", "said"),
    [
        ([1, 2], ["stage4"], "--without stage4: give one of stage-1"),
        ([4], [], "no stage 4"),
        ([2], ["stage-2"], "no stage is left"),
    ],
)
def test_what_there_is_not_is_one_line(stages, without, said):
    with pytest.raises(TrainingError, match=said):
        planned(stages, without)


def part_of(name):
    if "lora_" in name:
        return "lora"
    if "trainable_tokens" in name:
        return "tags"
    if name.startswith("llm."):
        return "llm"
    return name.split(".")[1] if name.startswith("edge.") else name.split(".")[0]


def moved(before, model):
    """The parts of the model some of whose weights are not bit for bit what they were."""
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    return {part_of(name) for name in changed}


def weights(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


ADAPTER = {"qformer", "projector"}


@pytest.mark.parametrize(
    ("number", "without", "expected"),
    [
        (1, [], ADAPTER | {"tags"}),
        (2, [], ADAPTER | {"tags"}),
        (3, [], ADAPTER | {"tags", "lora"}),
        (3, ["lora"], ADAPTER | {"tags"}),
        (3, ["tags"], ADAPTER | {"lora"}),
        (2, ["tags"], ADAPTER),
    ],
)
def test_stage_trains_its_parts_and_leaves_the_rest_bit_for_bit(
    fresh, trained, number, without, expected
):
    model = fresh()
    before = weights(model)
    assert {part_of(n) for n in before} == ADAPTER | {"tags", "lora", "llm", "encoder"}
    trained(stages=planned([number], without), model=model)
    assert moved(before, model) == expected


def test_text_translation_alone_moves_the_tags_only(fresh, trained):
    from dataclasses import replace

    model = fresh()
    before = weights(model)
    trained(stages=[replace(STAGES[1], weights={SMT: 1.0})], model=model)
    assert moved(before, model) == {"tags"}


def test_query_set_that_is_not_trained_stays_bit_for_bit(fresh, trained):
    model = fresh()
    before = weights(model)
    trained(stages=STAGES[:1], model=model, query_sets=(4,))
    now = weights(model)
    assert torch.equal(now["edge.qformer.queries.8"], before["edge.qformer.queries.8"])
    assert not torch.equal(now["edge.qformer.queries.4"], before["edge.qformer.queries.4"])


def test_both_query_sets_are_trained(fresh, trained):
    model = fresh()
    before = weights(model)
    trained(stages=STAGES[:1], model=model, steps=(8,))
    for name in ("edge.qformer.queries.8", "edge.qformer.queries.4"):
        assert not torch.equal(dict(model.named_parameters())[name], before[name])


def test_unknown_query_set_is_one_line(trained):
    with pytest.raises(TrainingError, match=r"no set of 5 queries: it has 8, 4"):
        trained(query_sets=(5,))
