"""Published JSON schemas: made from the models, shipped as files, held against what is written and read."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pydantic import BaseModel


def schema_text(model: type[BaseModel], title: str) -> str:
    """The JSON schema of `model` as text; the shipped file is this text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(mode="validation"),
        "title": title,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def shipped(room: str, name: str) -> dict[str, Any]:
    """The schema `name` that the package ships in `room`."""
    file = resources.files("esrt_privacy") / room / "schema" / name
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def misfit(document: object, schema: dict[str, Any]) -> tuple[str, str] | None:
    """Where a document does not fit, as a dotted path (empty: as a whole), and why; None where it fits."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(document))
    if error is None:
        return None
    return ".".join(str(part) for part in error.absolute_path), error.message
