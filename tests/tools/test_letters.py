"""The linear maps that a Q-Former starts from."""

import alphabet
import ctc
import letters
import pytest
import torch

from esrt_privacy.esrt.config import EncoderConfig, QFormerConfig, SystemConfig
from esrt_privacy.esrt.qformer import QFormer

ENCODER = EncoderConfig("tiny", 80, 16, 1, 2, 32)
QUERIES = QFormerConfig(2, 24, 2, 32, 1, (80, 40), 0.02)
CONFIG = SystemConfig("tiny", ENCODER, QUERIES)
TEXTS = ("a", "b", "ab", "ba")
FRAMES_A_LETTER = 25


def frames_of(key: str) -> torch.Tensor:
    """A letter is half a second of a direction of its own, in noise and behind a gap."""
    rng = torch.Generator().manual_seed(int(key))
    frames = 0.1 * torch.randn(1500, 16, generator=rng)
    for place, letter in enumerate(TEXTS[int(key) % 4]):
        begin = 10 + 2 * place * FRAMES_A_LETTER
        frames[begin : begin + FRAMES_A_LETTER, ord(letter) - ord("a")] += 3.0
    return frames


EXAMPLES = [ctc.Example(str(i), 2.0, TEXTS[i % 4], "test") for i in range(32)]


@pytest.fixture(scope="module")
def learned() -> letters.Letters:
    spoken = torch.stack([frames_of(str(i))[:100] for i in range(16)])
    options = ctc.Options(1, 0, batch=8, letter_steps=600)
    return letters.learn(EXAMPLES, frames_of, spoken, CONFIG, options)


def test_the_maps_find_the_letters(learned: letters.Letters) -> None:
    with torch.inference_mode():
        best = learned(torch.stack([frames_of(str(i)) for i in range(4)])).argmax(-1)
    heard = [alphabet.decode(row[: ctc.CTC_STEPS // 15].tolist()) for row in best]
    assert heard == list(TEXTS)


def test_a_code_is_as_wide_as_a_head(learned: letters.Letters) -> None:
    assert learned.code.out_features == 12
    other = QFormer(QFormerConfig(1, 24, 4, 32, 1, (80,), 0.02), ENCODER)
    with pytest.raises(ValueError, match="a code of 12 for heads of 6"):
        letters.put_into(learned, other, ctc.Head(24, (80,)), torch.randn(1, 9, 16))


@pytest.mark.parametrize("queries", [80, 40])
def test_heads_that_read_their_slices_spell_as_the_maps_do(
    learned: letters.Letters, queries: int
) -> None:
    """The value projection, the norm's root of 2 and the head together are the two maps again."""
    torch.manual_seed(0)
    qformer, head = QFormer(QUERIES, ENCODER), ctc.Head(24, (80, 40))
    spoken = torch.stack([frames_of(str(i))[:100] for i in range(16)])
    letters.put_into(learned, qformer, head, spoken)
    attention = qformer.model.encoder.layer[0].crossattention.attention
    frames = frames_of("2")
    with torch.inference_mode():
        # Each head of each query reads the mean of its slice.
        slices = torch.nn.functional.adaptive_avg_pool1d(frames.T[None], queries * 2)[0].T
        codes = attention.value(slices).unflatten(-1, (2, 12))
        own = torch.stack([codes[0::2, 0], codes[1::2, 1]], 1).flatten(1)
        logits = head((own / 2**0.5)[None])[0]
        expected = learned(frames[None])[0]
    inside = slice(2, 40)
    agree = (logits.argmax(-1) == expected.argmax(-1))[inside].float().mean()
    assert agree > 0.7  # the head looks beside its own time too
