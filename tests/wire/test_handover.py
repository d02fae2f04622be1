"""A cloud that hands decoding to an LLM behind HTTP: the same answers, and one line for whatever that server does."""

import json
import shutil
import socket
import ssl
import threading
import time
from collections import defaultdict
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from esrt_privacy.errors import ModelError, SystemUnavailable
from esrt_privacy.esrt.model import EsrtModel
from esrt_privacy.esrt.token_rows import read_token_rows
from esrt_privacy.esrt.vocabulary import embedded
from esrt_privacy.wire.address import Address
from esrt_privacy.wire.completions import (
    MOST_EVENT_BYTES,
    MOST_LINE_BYTES,
    Completions,
    LlmServer,
)
from esrt_privacy.wire.errors import WireError
from esrt_privacy.wire.handover import load_handed_over
from esrt_privacy.wire.serving import load_cloud
from tests.esrt.conftest import tiny_model, tiny_model_config
from tests.wire.completions_server import CompletionsServer, choice, refuse, send
from tests.wire.echo import recordings

TO = ("deu", "fra")
TOKENS = 12
WIRE = recordings(3)


@pytest.fixture(scope="module")
def folder(tiny_system, llm_folder, tmp_path_factory):
    """A checkpoint with its LLM in it, adapters merged."""
    place = tmp_path_factory.mktemp("merged")
    drawn = tiny_model(tiny_model_config(tiny_system, llm_folder), tiny_system)
    drawn.save_pretrained(place, with_llm=True)
    return place


@pytest.fixture(scope="module")
def whole(folder):
    """The same checkpoint, LLM and all, in this process."""
    return EsrtModel.from_pretrained(folder)


@pytest.fixture(scope="module")
def running(folder):
    with CompletionsServer(folder / "llm") as server:
        yield server


@pytest.fixture
def llm(running):
    """A server of that LLM that has not been asked anything yet."""
    running.forget()
    return running


def handed_over(folder, url, seconds=20.0):
    cloud, shape = load_cloud(str(folder), llm=Completions(LlmServer.parse(url), seconds))
    assert (shape.vectors, shape.width) == (8, 24)
    return cloud


def heard_from(cloud):
    """Answers, and the text of each with its tags."""
    told = defaultdict(str)

    def on_text(recording, target, text):
        told[recording, target] += text

    return cloud.translate(WIRE, "eng", TO, 1, TOKENS, on_text), dict(told)


def test_answers_over_grpc_are_those_of_the_llm_in_this_process(folder, whole, llm, served, remote):
    client = remote(served(handed_over(folder, llm.url)))
    here = whole.cloud()
    rows, told = heard_from(here)
    assert heard_from(client) == (rows, told)
    assert len(set(told.values())) > 3 and any("<|" in text for text in told.values())
    assert client.translate(WIRE, "eng", TO, 1, TOKENS) == rows
    assert client.transcribe(WIRE, "eng", 1, TOKENS) == here.transcribe(WIRE, "eng", 1, TOKENS)


def test_a_prompt_is_what_the_llm_reads_here_and_is_asked_for_greedily(folder, whole, llm):
    handed_over(folder, llm.url).translate(WIRE, "eng", TO, most_tokens=TOKENS)
    ids = [[whole.tokenizer.bos_token_id, whole.tags.id("eng"), whole.tags.id(to)] for to in TO]
    with torch.inference_mode():
        vectors = whole.projector(WIRE)
        for place, prompt in enumerate(llm.prompts):
            tokens = embedded(whole.llm, torch.tensor(ids[place % 2]))
            expected = torch.cat([tokens[:1], vectors[place // 2], tokens[1:]])
            torch.testing.assert_close(prompt, expected, rtol=1e-5, atol=1e-5)
    assert len(llm.prompts) == 6
    assert llm.bodies == [
        {
            "max_tokens": TOKENS,
            "temperature": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": [whole.tokenizer.eos_token_id],
            "skip_special_tokens": False,
            "stream": True,
        }
    ]


def test_no_layer_of_the_llm_is_read(folder, whole, tmp_path):
    ids = [2, *whole.tags.all_ids]
    llm = whole.llm.get_base_model()
    with torch.inference_mode():
        expected = embedded(whole.llm, torch.tensor(ids))
    name = "model.embed_tokens.weight"
    weights = load_file(folder / "llm" / "model.safetensors")
    shutil.copy(folder / "llm" / "config.json", tmp_path)
    save_file({name: weights[name]}, tmp_path / "model.safetensors")
    rows = read_token_rows(tmp_path, ids)
    assert torch.equal(rows.vectors, expected)
    assert rows.context == llm.config.max_position_embeddings
    assert torch.equal(rows.of([ids[7], 2]), expected[[7, 0]])


def test_an_llm_in_several_files_is_read_by_its_index(whole, tmp_path):
    from esrt_privacy.esrt.llm import merged

    plain = merged(whole.llm)
    plain.save_pretrained(tmp_path, max_shard_size="20KB")
    assert not (tmp_path / "model.safetensors").exists()
    with torch.inference_mode():
        assert torch.equal(
            read_token_rows(tmp_path, [2, 5]).vectors, embedded(plain, torch.tensor([2, 5]))
        )


def test_adapters_that_are_not_merged_are_refused_with_the_remedy(model, tmp_path):
    model.save_pretrained(tmp_path)
    llm = Completions(LlmServer.parse("http://127.0.0.1:9"), 1.0)
    with pytest.raises(SystemUnavailable, match="with_llm=True") as error:
        load_handed_over(tmp_path, None, llm)
    assert "\n" not in str(error.value)


def test_a_beam_is_refused_before_anything_is_sent(folder, llm, served, remote):
    client = remote(served(handed_over(folder, llm.url)))
    with pytest.raises(WireError, match="no prompt of a beam search: ask for beam 1"):
        client.translate(WIRE, "eng", TO, 5, TOKENS)
    assert not llm.bodies


def test_more_tokens_than_the_context_are_refused_before_anything_is_sent(folder, llm):
    with pytest.raises(ModelError, match="ask for at most"):
        handed_over(folder, llm.url).translate(WIRE, "eng", TO, 1, 400)
    assert not llm.bodies


def streamed(*events):
    def reply(asked):
        asked.send_response(200)
        asked.end_headers()
        for event in events:
            if isinstance(event, bytes):
                asked.wfile.write(event)
            else:
                send(asked, event)

    return reply


def done(text="one"):
    return choice(0, text, "stop")


LONG = b"data: " + b"x" * MOST_LINE_BYTES + b"\n\n"
MANY = (choice(0, "y" * 1000) for _ in range(MOST_EVENT_BYTES))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            lambda asked: refuse(asked, 400, "too\nlong\x1b[31m" + "x" * 900),
            r"HTTP 400: too\\nlong",
        ),
        (lambda asked: refuse(asked, 503, "loading"), "HTTP 503: loading"),
        (lambda asked: asked.wfile.write(b"\x00\x01 what\r\n\r\n"), "the connection was lost"),
        (lambda asked: None, "the connection was lost"),
        (streamed(), "ended before it had answered everything"),
        (streamed(choice(0, "one")), "ended before it had answered everything"),
        (streamed(b"data: [DONE]\n\n"), "ended before it had answered everything"),
        (streamed({"error": {"message": "out of memory"}}), "gave up: out of memory"),
        (streamed({"object": "error", "choices": 3}), "no completion"),
        (streamed(b"data: {broken\n\n"), "no completion"),
        (streamed(b"data: " + b"[" * 50_000 + b"\n\n"), "no completion"),
        (streamed(choice(1, "one")), "no completion"),
        (streamed(choice(-1, "one")), "no completion"),
        (streamed(choice(True, "one")), "no completion"),
        (streamed(choice(0, 7)), "no completion"),
        (streamed(choice(0, "one", "abort")), "no completion"),
        (streamed(done(), done()), "no completion"),
        (streamed(LONG), "more than such an answer can hold"),
        (streamed(*MANY), "more than such an answer can hold"),
    ],
)
def test_whatever_the_llm_server_says_is_one_line_or_an_answer(
    folder, llm, served, remote, reply, said
):
    llm.reply = reply
    client = remote(served(handed_over(folder, llm.url)))
    with pytest.raises(WireError, match=said) as error:
        client.translate(WIRE[:1], "eng", ["deu"], 1, TOKENS)
    assert str(error.value).isprintable() and len(str(error.value)) < 600
    llm.reply = None
    assert client.translate(WIRE[:1], "eng", ["deu"], 1, TOKENS)


def test_comments_and_usage_between_events_are_passed_over(llm):
    usage = {"choices": [], "usage": {"total_tokens": 3}}
    llm.reply = streamed(b": ping\n\nevent: x\n", choice(0, "on"), usage, done("e"))
    completions = Completions(LlmServer.parse(llm.url), 5.0)
    assert completions.texts([torch.zeros(2, 48)], 1, 4) == [("one", True)]


EVENTS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda place, text, reason: b"data: " + json.dumps(choice(place, text, reason)).encode(),
        st.integers(-1, 1),
        st.text(max_size=4),
        st.sampled_from([None, "stop", "length", "abort"]),
    ),
)


@settings(max_examples=200)
@given(st.lists(EVENTS, max_size=6))
def test_any_bytes_of_a_server_are_answers_or_one_line(running, events):
    running.reply = streamed(*(event + b"\n\n" for event in events))
    completions = Completions(LlmServer.parse(running.url), 5.0)
    try:
        ((text, _),) = completions.texts([torch.zeros(1, 2)], 1, 4)
    except WireError as error:
        assert str(error).isprintable() and "within" not in str(error)
    else:
        assert len(text) <= 4 * len(events)


def test_nobody_there_is_one_line(folder, served, remote):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    client = remote(served(handed_over(folder, url)))
    with pytest.raises(WireError, match=r"nobody answers there .*vllm serve") as error:
        client.translate(WIRE[:1], "eng", ["deu"], 1, TOKENS)
    assert "\n" not in str(error.value)


@contextmanager
def dripping(url_of):
    """A server that answers one byte at a time and never comes to an end."""
    ended = threading.Event()

    def reply(asked):
        asked.send_response(200)
        asked.end_headers()
        while not ended.wait(0.05):
            try:
                asked.wfile.write(b":")
            except OSError:
                return

    url_of.reply = reply
    try:
        yield
    finally:
        ended.set()


def test_a_server_that_never_ends_is_cut_off_at_the_deadline(folder, llm):
    with dripping(llm), pytest.raises(WireError, match="no answer within 1 s"):
        handed_over(folder, llm.url, seconds=0.6).translate(WIRE[:1], "eng", ["deu"], 1, TOKENS)


def test_stopping_ends_what_is_under_way(folder, llm):
    cloud = handed_over(folder, llm.url, seconds=60.0)
    failed = []

    def ask():
        try:
            cloud.translate(WIRE[:1], "eng", ["deu"])
        except WireError as error:
            failed.append(str(error))

    with dripping(llm):
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.3)
        cloud.close()
        asking.join(10)
    assert not asking.is_alive()
    assert "this cloud is stopping" in failed[0]
    with pytest.raises(WireError, match="this cloud is stopping"):
        cloud.translate(WIRE[:1], "eng", ["deu"])


def test_a_listener_that_fails_ends_the_request_at_the_llm(folder, llm):
    gone = threading.Event()

    def reply(asked):
        asked.send_response(200)
        asked.end_headers()
        try:
            for _ in range(2000):
                send(asked, choice(0, "one "))
                time.sleep(0.005)
        except OSError:
            gone.set()

    llm.reply = reply

    def stop(*_):
        raise KeyError

    with pytest.raises(KeyError):
        handed_over(folder, llm.url).translate(WIRE[:1], "eng", ["deu"], on_text=stop)
    assert gone.wait(10)


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://127.0.0.1:8000", Address("127.0.0.1", 8000), "/v1/completions"),
        ("http://localhost:8000/v1/", Address("localhost", 8000), "/v1/completions"),
        ("https://llm.example/a/v1", Address("llm.example", 443), "/a/v1/completions"),
        ("http://[::1]:8000/", Address("::1", 8000), "/v1/completions"),
    ],
)
def test_addresses_of_an_llm(url, address, path):
    server = LlmServer.parse(url)
    assert (server.address, server.path) == (address, path)
    assert server.tls == url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h?q",
        "http://h:x",
        "http://h/a b",
    ],
)
def test_what_is_no_address_of_an_llm_is_one_line(url):
    with pytest.raises(WireError, match="not the address of an LLM") as error:
        LlmServer.parse(url, insecure=True)
    assert "\n" not in str(error.value)


def test_plaintext_beyond_this_machine_needs_consent():
    with pytest.raises(WireError, match="--insecure"):
        LlmServer.parse("http://192.0.2.1:8000")
    assert LlmServer.parse("http://192.0.2.1:8000", insecure=True).address.port == 8000
    assert LlmServer.parse("https://192.0.2.1:8000").tls


def test_tls_is_spoken_and_an_unknown_authority_is_one_line(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            plain, _ = listener.accept()
            with pytest.raises(OSError, match=r"(?i)alert|eof|reset"):
                context.wrap_socket(plain, server_side=True)

        threading.Thread(target=accept, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(WireError, match="no TLS connection, or not trusted here"):
            Completions(LlmServer.parse(url), 5.0).texts([torch.zeros(2, 4)], 1, 4)
