"""Published JSON schemas: made from the models, shipped as files, held against what is written and read."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from esrt_privacy.errors import ReportError, shown

Model = TypeVar("Model", bound=BaseModel)
MAX_FILE_BYTES = 64 * 2**20  # a foreign file larger than this is not read into memory


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


def read_checked(path: Path, model: type[Model], schema: dict[str, Any], what: str) -> Model:
    """A JSON file as `model`, held against its published schema first.

    `what` says what it should have been and where to get one, for example "a record of bandwidth; give one of
    esrt-privacy bandwidth". Raises ReportError, in one line, for anything else.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReportError(f"{path}: too large for {what}")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}) as {what}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: not JSON ({shown(error, 80)}), so not {what}") from error
    found = misfit(document, schema)
    if found is not None:
        where, why = found
        raise ReportError(
            f"{path}: not {what} ({shown(where or 'the file', 80)}: {shown(why, 120)})"
        )
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ReportError(
            f"{path}: not {what} ({shown(place, 80)}: {shown(first['msg'])})"
        ) from error
