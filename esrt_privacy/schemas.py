"""Published JSON schemas: made from the models, shipped as files, held against what is written and read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from esrt_privacy.errors import ReportError, shown
from esrt_privacy.whole_file import write_whole

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
    if _fits(document, schema):
        return None
    # Only of what does not fit is the reason looked for, by the validator that knows which one helps.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(document))
    if error is None:
        return None
    return ".".join(str(part) for part in error.absolute_path), error.message


def _fits(document: object, schema: dict[str, Any]) -> bool:
    """Whether a document fits for certain, a hundred times as fast; False where that cannot be said."""
    import jsonschema_rs

    try:
        return bool(jsonschema_rs.validator_for(schema).is_valid(document))
    except (ValueError, OverflowError):  # NaN, lone surrogates, numbers beyond 64 bits
        return False


@dataclass(frozen=True)
class Refusals:
    """What the user is told of a file that is not what it should be: lines with `{path}`, `{place}` and `{why}`."""

    large: str
    unread: str
    no_json: str
    unfit: str

    @classmethod
    def of(cls, what: str) -> Self:
        """The usual lines. `what` says what it should have been and where to get one, without braces.

        For example "a record of bandwidth; give one of esrt-privacy bandwidth".
        """
        return cls(
            large=f"{{path}}: too large for {what}",
            unread=f"{{path}}: cannot be read ({{why}}) as {what}",
            no_json=f"{{path}}: not JSON ({{why}}), so not {what}",
            unfit=f"{{path}}: not {what} ({{place}}: {{why}})",
        )


def read_checked(
    path: Path,
    model: type[Model],
    schema: dict[str, Any] | None,
    refusals: Refusals,
    most_bytes: int | None = None,
) -> Model:
    """A JSON file as `model`, held against its published schema first, where one is published.

    A file of more than `most_bytes`, by default MAX_FILE_BYTES, is not read. Raises ReportError, in one line, for
    anything else than a whole file of that kind.
    """
    try:
        if path.stat().st_size > (MAX_FILE_BYTES if most_bytes is None else most_bytes):
            raise ReportError(refusals.large.format(path=path))
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(refusals.unread.format(path=path, why=error.strerror)) from error
    except (ValueError, RecursionError) as error:
        said = refusals.no_json.format(path=path, place="the file", why=shown(error, 80))
        raise ReportError(said) from error
    found = None if schema is None else misfit(document, schema)
    if found is not None:
        where, why = found
        place = shown(where or "the file", 80)
        raise ReportError(refusals.unfit.format(path=path, place=place, why=shown(why, 120)))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = shown(".".join(map(str, first["loc"])) or "the file", 80)
        said = refusals.unfit.format(path=path, place=place, why=shown(first["msg"]))
        raise ReportError(said) from error


def write_checked(record: BaseModel, path: Path, schema: dict[str, Any] | None, whole: str) -> None:
    """Write a record as JSON, held against its published schema, where one is published; whole or not at all.

    `whole` is what a line calls the record, for example "the run". Raises ReportError, in one line, where it has a
    figure that is not finite, does not fit or cannot be written.
    """
    document = record.model_dump(mode="json")
    try:
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise ReportError(
            f"{path} was not written: a figure is not finite; give it as None ({error})"
        ) from error
    found = None if schema is None else misfit(document, schema)
    if found is not None:
        where, why = found
        raise ReportError(
            f"{path} was not written: {shown(where or whole, 80)} does not fit the published schema ({shown(why, 120)})"
        )
    # A lone surrogate, as a name from a foreign file can have, becomes the escape that JSON knows.
    write_whole(path, text.encode("utf-8", "backslashreplace"))
