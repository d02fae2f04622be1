"""`/v1/completions` of prompt embeddings on a port of this machine, by a real (tiny) LLM, as strict as vLLM's."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig


class CompletionsServer:
    """Serves an LLM's folder; use it as a context. `prompts` holds the tensors of every request, `bodies` the rest.

    `reply` set: called with the request handler in place of an answer.
    """

    def __init__(self, folder: Path) -> None:
        self.llm = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.forget()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nothing on standard error."""

            def do_POST(self) -> None:
                owner._answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> CompletionsServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Begin anew."""
        self.prompts: list[Tensor] = []
        self.bodies: list[dict] = []
        self.reply: Callable[[BaseHTTPRequestHandler], None] | None = None

    def _answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = json.loads(asked.rfile.read(int(asked.headers["Content-Length"])))
        if self.reply is not None:
            self.reply(asked)
            return
        if asked.path != "/v1/completions":
            refuse(asked, 404, "Not Found")
            return
        packed = body.pop("prompt_embeds")
        prompts = [self._prompt(text) for text in packed]
        if any(prompt is None for prompt in prompts):
            refuse(asked, 400, "prompt_embeds must be float32 (positions, width)")
            return
        self.prompts += prompts
        self.bodies.append(body)
        asked.send_response(200)
        asked.send_header("Content-Type", "text/event-stream; charset=utf-8")
        asked.end_headers()
        rows = [self._pieces(prompt, body) for prompt in prompts]
        for step in range(max(map(len, rows))):  # rows take turns
            for place, pieces in enumerate(rows):
                if step < len(pieces):
                    text, reason = pieces[step]
                    send(asked, choice(place, text, reason))
        asked.wfile.write(b"data: [DONE]\n\n")

    def _prompt(self, text: str) -> Tensor | None:
        data = base64.b64decode(text, validate=True)
        tensor = torch.load(io.BytesIO(data), weights_only=True)
        known = isinstance(tensor, Tensor) and tensor.dtype == self.llm.dtype and tensor.ndim == 2
        size = tensor.element_size() * tensor.numel()
        if not known or tensor.shape[1] != self.llm.config.hidden_size or len(data) > size + 4096:
            return None  # the last: a view would bring the others of its batch along
        return tensor

    def _pieces(self, prompt: Tensor, body: dict) -> list[tuple[str, str | None]]:
        """Text by steps and the reason for its end, which comes without the stop token."""
        (stop,) = body["stop_token_ids"]
        assert body["temperature"] == 0 and body["stream"]
        options = GenerationConfig(
            max_new_tokens=body["max_tokens"],
            do_sample=False,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=stop,
            pad_token_id=stop,
        )
        mask = torch.ones(1, len(prompt), dtype=torch.long)
        with torch.inference_mode():
            output = self.llm.generate(
                inputs_embeds=prompt[None], attention_mask=mask, generation_config=options
            )
        ids = output[0].tolist()
        ended = ids[-1] == stop
        kept = ids[:-1] if ended else ids
        skipped = body["skip_special_tokens"]
        texts = [
            self.tokenizer.decode(kept[: n + 1], skip_special_tokens=skipped)
            for n in range(len(kept))
        ]
        whole = [after[len(before) :] for before, after in zip(["", *texts], texts, strict=False)]
        return [*((piece, None) for piece in whole), ("", "stop" if ended else "length")]


def choice(place: object, text: object, reason: object = None) -> dict:
    """An event as vLLM sends it."""
    row = {"index": place, "text": text, "logprobs": None, "finish_reason": reason}
    return {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [row]}


def send(asked: BaseHTTPRequestHandler, event: object) -> None:
    asked.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    asked.wfile.flush()


def refuse(asked: BaseHTTPRequestHandler, status: int, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "BadRequestError", "code": status}})
    asked.send_response(status)
    asked.send_header("Content-Length", str(len(body)))
    asked.end_headers()
    asked.wfile.write(body.encode())
