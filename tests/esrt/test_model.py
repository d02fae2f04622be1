"""The loss that trains the whole model."""

import pytest
import torch
from torch import nn

from esrt_privacy.errors import ModelError, SystemUnavailable
from esrt_privacy.esrt.memory import within_memory
from esrt_privacy.esrt.vocabulary import embedded, logits
from tests import tiny_llm

BOS, EOS = 2, 1


@pytest.fixture
def rows(model):
    """Prompts and targets of three lengths: SRT as in the paper, ASR, and one without a target."""
    ids = model.tags.id
    word = model.tokenizer.convert_tokens_to_ids
    eng, deu = ids("eng"), ids("deu")
    prompts = [[eng, deu], [eng], [eng, deu]]
    targets = [
        [*word(["one", "two"]), eng, deu, *word(["eins", "zwei"])],
        word(["three"]),
        [],
    ]
    return prompts, targets


def reference(model, wire, prompts, targets, allowed=None):
    """Row by row, no padding: peft's own embedding and head, all logits, a softmax by hand."""
    total, count = torch.zeros(()), 0
    for n, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
        tokens = [*prompt, *target, EOS]
        embed = model.llm.get_input_embeddings()
        parts = [embed(torch.tensor([BOS])), embed(torch.tensor(tokens))]
        if wire is not None:
            parts.insert(1, model.projector(wire[n]))
        sequence = torch.cat(parts)[None]
        found = model.llm(inputs_embeds=sequence).logits[0]
        start = sequence.shape[1] - len(tokens)
        for place in range(len(prompt), len(tokens)):
            row = found[start + place - 1]
            kept = row if allowed is None else row[allowed]
            total = total + torch.logsumexp(kept, 0) - row[tokens[place]]
            count += 1
    return total / count


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    named = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    return {n: torch.zeros(()) if g is None else g.clone() for n, g in named.items()}


def test_loss_is_that_of_a_computation_by_hand(model, wire, rows):
    torch.testing.assert_close(model.loss(wire, *rows), reference(model, wire, *rows))


def test_text_task_has_no_audio(model, rows):
    expected = reference(model, None, *rows)
    torch.testing.assert_close(model.loss(None, *rows), expected)
    torch.testing.assert_close(model(None, *rows), expected)


def test_audio_reaches_the_loss(model, wire, rows):
    other = model.loss(wire.flip(0), *rows)
    assert (model.loss(wire, *rows) - other).abs() > 1e-3


def test_padding_does_not_change_a_rows_loss(model, wire, rows):
    prompts, targets = rows
    alone = [
        model.loss(wire[n : n + 1], [prompts[n]], [targets[n]]) * (len(targets[n]) + 1)
        for n in range(3)
    ]
    tokens = sum(len(target) + 1 for target in targets)
    torch.testing.assert_close(model.loss(wire, prompts, targets) * tokens, sum(alone))


def test_vocabulary_of_everything_is_the_full_softmax(model, wire, rows):
    everything = torch.arange(len(model.tokenizer))
    torch.testing.assert_close(model.loss(wire, *rows, everything), model.loss(wire, *rows))


def test_restricted_softmax_sees_only_its_tokens(model, wire, rows):
    allowed = sorted({EOS, 140, model.tags.id("fra"), *(t for row in rows[1] for t in row)})
    found = model.loss(wire, *rows, torch.tensor(allowed))
    torch.testing.assert_close(found, reference(model, wire, *rows, allowed))
    assert found < model.loss(wire, *rows)


@pytest.mark.parametrize("restricted", [False, True])
def test_gradients_are_those_of_pefts_own_pass(model, wire, rows, restricted):
    allowed = sorted({EOS, 140, *(t for row in rows[1] for t in row)}) if restricted else None
    vocabulary = torch.tensor(allowed) if restricted else None
    expected = gradients(model, reference(model, wire, *rows, allowed))
    found = gradients(model, model.loss(wire, *rows, vocabulary))
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, msg=lambda text, n=name: f"{n}: {text}")
    for part in ("lora_B", "trainable_tokens", "projector"):
        assert any(part in name and grad.abs().sum() > 0 for name, grad in found.items())


def test_gradient_reaches_the_wire(model, wire, rows):
    wire = wire.float().requires_grad_()
    model.loss(wire, *rows).backward()
    assert wire.grad.abs().sum() > 0


def test_rows_for_tokens_are_pefts_own(model):
    llm = model.llm
    ids = torch.tensor([[*model.tags.all_ids, EOS, 130, 131]])
    torch.testing.assert_close(embedded(llm, ids), llm.get_input_embeddings()(ids))
    torch.testing.assert_close(embedded(llm, ids[:, -1:]), llm.get_input_embeddings()(ids[:, -1:]))
    hidden = torch.randn(5, tiny_llm.WIDTH)
    full = llm.get_output_embeddings()(hidden)
    torch.testing.assert_close(logits(llm, hidden), full)
    some = torch.tensor([EOS, model.tags.id("deu"), 149])
    torch.testing.assert_close(logits(llm, hidden, some), full[:, some])
    with llm.disable_adapter():
        assert torch.equal(embedded(llm, ids), llm.get_input_embeddings()(ids))
        torch.testing.assert_close(logits(llm, hidden), llm.get_output_embeddings()(hidden))


def test_rows_of_a_plain_llm_are_its_own(model):
    llm = model.llm.get_base_model()
    hidden = torch.randn(5, tiny_llm.WIDTH)
    torch.testing.assert_close(logits(llm, hidden), llm.lm_head(hidden))


def test_capped_logits_are_capped_here_too(model, wire, rows):
    model.llm.config.final_logit_softcapping = 1.0
    assert model.llm.get_base_model().config.final_logit_softcapping == 1.0
    torch.testing.assert_close(model.loss(wire, *rows), reference(model, wire, *rows))


def test_llm_that_scales_its_logits_is_refused(model, wire, rows):
    model.llm.get_base_model().config.logit_scale = 0.0625
    with pytest.raises(SystemUnavailable, match="scales its logits"):
        model.loss(wire, *rows)


def test_trained_on_four_answers_it_gives_them(model, wire):
    """Loss and decoding agree on where everything stands."""
    words = {
        "eng": ["one two", "three"],
        "deu": ["eins zwei", "drei"],
        "spa": ["uno dos", "tres"],
    }
    wire = wire[:2]
    ids = model.tags.id
    prompts, targets, recordings = [], [], []
    for n in range(2):
        for language in ("deu", "spa"):
            text = f"{words['eng'][n]} <|eng|> <|{language}|> {words[language][n]}"
            prompts.append([ids("eng"), ids(language)])
            targets.append(model.tokenizer.encode(text, add_special_tokens=False))
            recordings.append(n)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    for _ in range(60):
        loss = model.loss(wire[recordings], prompts, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05
    for beam in (1, 5):
        answers = model.cloud().translate(wire, "eng", ["deu", "spa"], beam)
        for n in range(2):
            for language in ("deu", "spa"):
                answer = answers[n][language]
                assert answer.transcript == words["eng"][n]
                assert answer.translation == words[language][n]
                assert answer.language_ok and answer.complete


def test_text_longer_than_the_context_is_one_line(model, wire, rows):
    fits = [130] * (tiny_llm.CONTEXT - 1 - 8 - 1 - 1)  # <bos>, audio, prompt, <eos>
    model.loss(wire[:1], [[5]], [fits])
    with pytest.raises(ModelError, match="row 1: a text of 152 tokens after 9 positions") as error:
        model.loss(wire[:2], [[5], [5]], [[130], [*fits, 130]])
    assert str(tiny_llm.CONTEXT) in str(error.value) and "\n" not in str(error.value)


class Hungry(nn.Module):
    """Wants more memory than any machine has."""

    width = 24

    def forward(self, wire):
        return torch.empty(1 << 50)


def test_out_of_memory_says_what_to_change(model, wire, rows):
    model.projector = Hungry()
    with pytest.raises(
        ModelError, match=r"out of memory at a batch of 3 rows .* smaller batch"
    ) as error:
        model.loss(wire, *rows)
    assert "\n" not in str(error.value)


def test_only_failed_allocations_are_out_of_memory():
    for failure in (torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()):
        with (
            pytest.raises(ModelError, match=r"^out of memory here: buy more$"),
            within_memory("here", "buy more"),
        ):
            raise failure
    with pytest.raises(RuntimeError, match="shapes"), within_memory("here", "buy more"):
        raise RuntimeError("shapes differ")


def test_target_outside_the_vocabulary_is_named(model, wire, rows):
    with pytest.raises(ValueError, match="target token 114 is not in"):
        model.loss(wire, *rows, torch.tensor([EOS, 5, 6]))


@pytest.mark.parametrize("count", [0, 2])
def test_unequal_numbers_of_rows_are_refused(model, wire, rows, count):
    prompts, targets = rows
    with pytest.raises(ValueError, match="as many prompts"):
        model.loss(wire[:count], prompts[:count], targets[: max(count - 1, 0)])
