"""The loop: it learns, goes on where it was, and does not care how its rows are divided."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from esrt_privacy.errors import ModelError, SystemUnavailable
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.training.curriculum import STAGES
from esrt_privacy.esrt.training.errors import TrainingError
from esrt_privacy.esrt.training.metrics import read_metrics
from esrt_privacy.esrt.training.resuming import CHECKPOINT_FILE, weights_of
from esrt_privacy.esrt.training.tasks import PlainText, Row, Task, prompt_and_target


def losses(folder):
    return [p.loss for p in read_metrics(folder)]


def without_time(folder):
    return [replace(p, seconds=0.0) for p in read_metrics(folder)]


def flat(model):
    return {f"{a}.{b}": t for a, part in weights_of(model).items() for b, t in part.items()}


def assert_equal_weights(a, b, **tolerance):
    a, b = flat(a), flat(b)
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], **(tolerance or {"rtol": 0, "atol": 0}))


def mean(values):
    return sum(values) / len(values)


def test_loss_falls_and_the_audio_is_heard(trained, utterances, frames):
    model, folder = trained(
        steps=(120,), batch=6, dropout=0.0, learning_rate=1e-2, stages=STAGES[:1], warm_up=5
    )
    curve = losses(folder)
    assert mean(curve[-10:]) < 0.6 * mean(curve[:10])
    plain = PlainText(model.tokenizer, model.tags)
    pairs = [
        prompt_and_target(Task.ASR, Row(u, None), plain, model.tags)
        for u in utterances
        if u.language == "eng"
    ]
    prompts, targets = [p for p, _ in pairs], [t for _, t in pairs]
    heard = torch.stack(list(frames(utterances[:6]))).float()
    with torch.no_grad():
        wire = model.edge.qformer(heard, 8)
        right = model.loss(wire, prompts, targets)
        swapped = model.loss(wire.roll(1, 0), prompts, targets)
    assert right < swapped - 0.2


def test_folder_holds_the_model_and_one_of_each_stage(trained):
    model, folder = trained()
    assert_equal_weights(EsrtModel.from_pretrained(folder), model)
    stages = [EsrtModel.from_pretrained(folder / f"stage-{n}") for n in (1, 2, 3)]
    assert_equal_weights(stages[2], model)
    first, second = flat(stages[0]), flat(stages[1])
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert not list(folder.glob("*.part")) and not list(folder.glob(".*"))


def test_bfloat16_trains_to_float32_weights(trained):
    model, folder = trained(bfloat16=True)
    assert all(torch.isfinite(torch.tensor(losses(folder))))
    assert {weight.dtype for weight in flat(model).values()} == {torch.float32}
    _, exact = trained("exact")
    assert losses(folder)[0] == pytest.approx(losses(exact)[0], rel=0.05)
    assert losses(folder) != losses(exact)


class BrokenOffError(Exception):
    pass


@pytest.mark.parametrize(("stage", "step"), [(1, 1), (1, 3), (2, 2), (3, 2)])
def test_run_that_was_broken_off_goes_on_with_the_same_curve(trained, stage, step):
    """With dropout, whose draws must come back too."""
    expected, whole = trained("whole", dropout=0.2, accumulate=2)

    def stopping(label, done, total):
        if label.startswith(f"stage {stage}") and done == step:
            raise BrokenOffError

    options = {"dropout": 0.2, "accumulate": 2, "checkpoint_seconds": 0.0}
    with pytest.raises(BrokenOffError):
        trained("broken", report=stopping, **options)
    seen = []
    model, folder = trained("broken", report=lambda *row: seen.append(row), **options)
    assert len(seen) == 9 - (3 * (stage - 1) + step - 1)  # the last step was not yet saved
    assert without_time(folder) == without_time(whole)
    assert_equal_weights(model, expected)


def test_run_goes_on_with_its_rows_divided_otherwise(trained):
    options = {"dropout": 0.0, "stages": STAGES[:1], "learning_rate": 1e-9}
    _, whole = trained("whole", batch=4, **options)

    def stopping(label, done, total):
        if done == 2:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        trained("broken", report=stopping, checkpoint_seconds=0.0, **options)
    _, folder = trained("broken", batch=2, accumulate=2, **options)
    assert losses(folder) == pytest.approx(losses(whole), rel=1e-5)


def test_finished_run_is_left_as_it_is(trained):
    _, folder = trained(stages=STAGES[:1])
    assert not (folder / CHECKPOINT_FILE).exists()
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    seen = []
    trained(stages=STAGES[:1], report=lambda *row: seen.append(row))
    assert seen == []
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_folder_of_another_run_is_refused_and_says_what_differs(trained, utterances):
    def stopping(label, done, total):
        if done == 2:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        trained(report=stopping, checkpoint_seconds=0.0)
    with pytest.raises(TrainingError, match="differs in learning_rate; give the same options"):
        trained(learning_rate=1e-4)
    trained("done", stages=STAGES[:1])
    with pytest.raises(TrainingError, match=r"differs in learning_rate, seed; .* another --out"):
        trained("done", stages=STAGES[:1], learning_rate=1e-4, seed=3)
    with pytest.raises(TrainingError, match="differs in data"):
        trained("done", stages=STAGES[:1], recordings=utterances[:5])


def test_damaged_checkpoint_is_one_line(trained):
    _, folder = trained(stages=STAGES[:1])
    (folder / "training.json").unlink()
    (folder / CHECKPOINT_FILE).write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: cannot go on .* delete it") as error:
        trained(stages=STAGES[:1])
    assert "\n" not in str(error.value)


@pytest.fixture
def gradients(monkeypatch):
    """gradients() -> those of every step since it was last called, all parameters in one vector.

    Adam makes a whole step of what is next to nothing, so that weights show rounding, not mistakes.
    """
    from accelerate import Accelerator

    seen = []
    clip = Accelerator.clip_grad_norm_

    def recording(self, parameters, *rest):
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        seen.append(torch.cat([grad.flatten() for grad in found]))
        return clip(self, parameters, *rest)

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", recording)

    def taken():
        found = list(seen)
        seen.clear()
        return found

    return taken


def test_accumulation_equals_a_larger_batch(trained, gradients):
    """In every stage, whatever the texts' lengths; with steps too small to tell roundings apart."""
    options = {"dropout": 0.0, "learning_rate": 1e-9, "steps": (6,)}
    _, whole = trained("whole", batch=8, **options)
    expected = gradients()
    _, parts = trained("parts", batch=2, accumulate=4, **options)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)
    assert {p.task for p in read_metrics(whole)} == {"asr", "smt", "srt"}
    found = gradients()
    assert len(found) == len(expected) == 18
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))


def test_restricted_softmax_loses_less_and_is_recorded(trained):
    _, whole = trained("whole", stages=STAGES[:1])
    _, part = trained("part", stages=STAGES[:1], restrict_vocabulary=True)
    assert losses(part)[0] < losses(whole)[0]
    tokens = json.loads((part / "training.json").read_text())["softmax_tokens"]
    assert 1 + 102 < tokens <= 1 + 102 + 30
    assert json.loads((whole / "training.json").read_text())["softmax_tokens"] == "all"


class Small:
    """A side loss that wants a small wire tensor, and remembers whose it saw."""

    def __init__(self, weight):
        self.about = f"small {weight}"
        self.weight, self.seen = weight, []

    def __call__(self, wire, queries, keys):
        assert wire.shape[:2] == (len(keys), queries)
        self.seen += keys
        return self.weight * wire.square().mean()


def test_side_loss_moves_the_wire_tensor_and_is_no_part_of_the_curve(trained, utterances, frames):
    heard = torch.stack(list(frames(utterances[:4]))).float()

    def size(model):
        with torch.no_grad():
            return float(model.edge.qformer(heard, 8).square().mean())

    options = {"stages": STAGES[:1], "steps": (30,), "dropout": 0.0}
    plain, whole = trained("plain", **options)
    side = Small(10.0)
    pulled, folder = trained("pulled", side=side, **options)
    assert size(pulled) < 0.9 * size(plain)
    assert set(side.seen) <= {u.fingerprint for u in utterances}
    assert losses(folder)[0] == pytest.approx(losses(whole)[0], rel=1e-5)


def test_side_loss_does_not_care_how_rows_are_divided(trained, gradients):
    options = {"dropout": 0.0, "learning_rate": 1e-9, "stages": STAGES[:2], "steps": (4,)}
    trained("whole", batch=8, side=Small(3.0), **options)
    expected = gradients()
    trained("parts", batch=2, accumulate=4, side=Small(3.0), **options)
    for mine, theirs in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()))


def test_folder_of_a_run_with_another_side_loss_is_refused(trained):
    trained("done", stages=STAGES[:1], side=Small(1.0))
    with pytest.raises(TrainingError, match="differs in side"):
        trained("done", stages=STAGES[:1], side=Small(2.0))


def test_thinned_padding_trains_too(trained):
    _, folder = trained(stages=STAGES[:1], thin_padding=0.7, steps=(4,))
    assert len(losses(folder)) == 4


def test_record_tells_what_was_trained_on_and_left_out(trained, utterances):
    rows = [replace(utterances[0], text=None), *utterances[1:]]
    _, folder = trained(recordings=rows, steps=(6,), temperature=2.0)
    record = json.loads((folder / "training.json").read_text())
    assert record["languages"]["eng"]["recordings"] == 5
    assert [s["stage"] for s in record["stages"]] == [1, 2, 3]
    assert [set(s["tasks"]) for s in record["stages"]] == [
        {"asr"},
        {"asr", "smt", "srt"},
        {"asr", "srt"},
    ]
    asr = record["stages"][0]["tasks"]["asr"]
    assert (asr["rows"], asr["steps"], asr["weight"]) == (10, 6, 1.0)
    roots = {"deu": 3**0.5, "eng": 5**0.5, "spa": 2**0.5}
    for code, root in roots.items():
        drawn = asr["languages"][code]["share_drawn"]
        assert drawn == pytest.approx(root / sum(roots.values()), abs=1e-5)
    assert asr["languages"]["eng"]["share_of_data"] == 0.5
    assert [set(s["trained"]) for s in record["stages"]] == [
        {"Q-Former", "projector", "language tags"},
        {"Q-Former", "projector", "language tags"},
        {"Q-Former", "projector", "language tags", "LoRA"},
    ]
    assert record["left_out"] == [
        f"left out 1 rows of {task}: no text (first: eng0)" for task in ("ASR", "SMT", "SRT")
    ]
    assert record["options"]["temperature"] == 2.0


def test_curve_tells_tasks_queries_and_tokens(trained):
    _, folder = trained(steps=(10,))
    points = read_metrics(folder)
    assert Counter(p.stage for p in points) == {1: 10, 2: 10, 3: 10}
    assert all(p.queries in ((0,) if p.task == "smt" else (8, 4)) for p in points)
    assert all(p.rows == 4 and p.tokens > 4 for p in points)
    assert points[0].learning_rate == pytest.approx(1.5e-3)


def test_loss_that_is_no_number_is_one_line(trained, fresh):
    model = fresh()
    with torch.no_grad():
        model.projector.layers[0].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"stage 1, step 1: .* lower --learning-rate"):
        trained(model=model)


def test_out_of_memory_says_what_to_change(trained, fresh, monkeypatch):
    model = fresh()

    def hungry(*given):
        return torch.empty(1 << 50)

    monkeypatch.setattr(model, "loss", hungry)
    with pytest.raises(ModelError, match=r"out of memory in a step of 4 rows .*--accumulate"):
        trained(model=model)


def test_tensorboard_that_is_missing_is_one_line(trained, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemUnavailable, match="pip install tensorboard, or give --metrics csv"):
        trained(metrics="tensorboard")


def test_model_without_its_edge_half_is_refused(trained, fresh):
    model = fresh()
    model.edge = None
    with pytest.raises(TrainingError, match="without its edge half"):
        trained(model=model)
