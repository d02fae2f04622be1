"""Text of a real (tiny) LLM while it is decoded: the same answers, and pieces that make them up."""

from collections import defaultdict

import pytest
import torch

from esrt_privacy.esrt.answers import parse_answer
from esrt_privacy.esrt.streaming import TextStream
from tests.wire.echo import recordings

TO = ("deu", "fra")


@pytest.fixture
def wire():
    return recordings(3)


def test_listening_changes_no_answer_and_the_pieces_make_it_up(model, wire):
    cloud = model.cloud()
    told = defaultdict(str)
    steps = []

    def on_text(recording, target, text):
        told[recording, target] += text
        steps.append((recording, target))

    rows = cloud.translate(wire, "eng", TO, most_tokens=12, on_text=on_text)
    assert rows == cloud.translate(wire, "eng", TO, most_tokens=12)
    for n, row in enumerate(rows):
        for k, target in enumerate(TO):
            heard = parse_answer(told[n, k], "eng", target)
            assert (heard.transcript, heard.translation) == (
                row[target].transcript,
                row[target].translation,
            )
    # Rows take turns: nobody waits until another's text is whole.
    assert len(set(steps[:6])) > 1 and len(steps) > 12


def test_transcripts_are_told_too_and_beams_are_not(model, wire):
    cloud = model.cloud()
    told = []
    heard = cloud.transcribe(wire, "eng", 1, 8, on_text=lambda *a: told.append(a))
    assert heard == cloud.transcribe(wire, "eng", 1, 8) and told
    told.clear()
    cloud.transcribe(wire, "eng", 2, 8, on_text=lambda *a: told.append(a))
    assert not told


def test_what_a_listener_raises_ends_the_decoding(model, wire):
    steps = []

    def stop(*_):
        steps.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        model.cloud().translate(wire, "eng", TO, most_tokens=50, on_text=stop)
    assert len(steps) == 1


def test_half_a_character_is_held_back_and_told_in_the_end():
    texts = {(): "", (1,): "a", (1, 2): "a\ufffd", (1, 2, 3): "aä", (1, 2, 3, 2): "aä\ufffd"}
    told = []
    stream = TextStream(lambda ids: (texts[tuple(ids)], False), 1, lambda *a: told.append(a))
    stream.put(torch.tensor([[9]]))
    for token in (1, 2, 3, 2):
        stream.put(torch.tensor([token]))
    assert [text for *_, text in told] == ["a", "ä"]
    stream.end()
    assert told[-1] == (0, 0, "\ufffd")


def test_the_real_cloud_answers_the_same_over_the_network(model, wire, served, remote):
    cloud = model.cloud()
    told = defaultdict(str)

    def on_text(recording, target, text):
        told[recording, target] += text

    client = remote(served(model.cloud()))
    rows = client.translate(wire, "eng", TO, 1, 12, on_text)
    assert rows == cloud.translate(wire, "eng", TO, 1, 12)
    assert parse_answer(told[1, 0], "eng", "deu").transcript == rows[1]["deu"].transcript
    assert client.translate(wire, "eng", TO, 3, 12) == cloud.translate(wire, "eng", TO, 3, 12)
    assert client.transcribe(wire, "eng", 1, 12) == cloud.transcribe(wire, "eng", 1, 12)
