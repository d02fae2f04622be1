"""The Q-Former that begins with what two linear maps know."""

from __future__ import annotations

from dataclasses import replace

import alphabet
import ctc
import letters
import torch

from esrt_privacy.esrt.config import REFERENCE
from esrt_privacy.esrt.qformer import QFormer

WIDTH = 24
QUERIES = replace(
    REFERENCE.qformer, hidden=48, heads=2, layers=2, feed_forward=32, query_sets=(80, 40)
)
ENCODER = replace(REFERENCE.encoder, width=WIDTH)


def test_a_qformer_that_was_given_the_letters_reads_them() -> None:
    torch.manual_seed(0)
    spoken = torch.randn(8, 50, WIDTH) * 3 + 1
    known = letters.Letters(spoken, QUERIES.hidden // QUERIES.heads - letters.PLACE_WIDTH)
    qformer, head = QFormer(QUERIES, ENCODER).eval(), ctc.Head(48, (80, 40))
    letters.put_into(known, qformer, head, spoken)
    # A frame that lasts: wherever the attention looks, there it is.
    for frame in spoken[:, 0]:
        frames = frame.expand(1, 1500, WIDTH)
        expected = known.spell(known.codes(frame))
        expected = expected - expected.mean()
        for queries in (80, 40):
            found = head.expand[str(queries)](qformer(frames, queries))
            found = found.unflatten(-1, (-1, alphabet.SIZE))
            found = found - found.mean(-1, keepdim=True)
            assert found.argmax(-1).unique().tolist() == [int(expected.argmax())]
            alike = torch.cosine_similarity(found, expected.expand_as(found), dim=-1)
            assert alike.min() > 0.9
