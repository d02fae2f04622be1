"""A run's folder: `findings.json` beside the sound files that its examples name.

The file is checked against the published JSON schema (`reports/schema/findings-2.json`) when it is written and when it
is read. A file of version 1 is held against its own schema, and read as a run of version 2 without what came later.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esrt_privacy import schemas
from esrt_privacy.errors import ReportError
from esrt_privacy.findings.run import SCHEMA_VERSION, Run

FILE_NAME = "findings.json"
MAX_FILE_BYTES = 256 * 2**20  # a foreign file larger than this is not read into memory
READ_VERSIONS = ("1", SCHEMA_VERSION)


def write_run(run: Run, folder: Path) -> Path:
    """Writes `folder/findings.json`, checked against the published schema, whole or not at all.

    Returns the file's path. Raises ReportError when the run does not fit the schema or the folder
    cannot be written.
    """
    path = folder / FILE_NAME
    schemas.write_checked(run, path, shipped_schema(), "the run")
    return path


def read_run(folder: Path) -> Run:
    """Reads and checks `folder/findings.json`. Raises ReportError, one line, when it cannot."""
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReportError(
                f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB and was not read; "
                "give the folder of a run made by esrt-privacy"
            )
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise ReportError(
            f"{path} does not exist; give the folder of a run made by esrt-privacy"
        ) from error
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path} is damaged: not UTF-8 text; run the audit again") from error
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ReportError(
            f"{path} is damaged: not JSON ({_one_line(str(error))}); run the audit again"
        ) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportError(f"{path} is no findings file; give the folder of an esrt-privacy run")
    if version not in READ_VERSIONS:
        raise ReportError(
            f"{path} has schema version {_one_line(repr(version))}, this program reads "
            f"{' and '.join(READ_VERSIONS)}; use the version of esrt-privacy that wrote it"
        )
    _check_against_schema(document, path, version)
    try:
        # Version 2 only adds fields that may be left out.
        return Run.model_validate({**document, "schema_version": SCHEMA_VERSION})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the run"
        raise ReportError(
            f"{path} does not fit: {_one_line(where)}: {_one_line(first['msg'])}; "
            "run the audit again"
        ) from error


def schema_text() -> str:
    """The JSON schema of `findings.json` as the models give it; the shipped file is this text."""
    return schemas.schema_text(Run, f"esrt-privacy findings, version {SCHEMA_VERSION}")


def shipped_schema(version: str = SCHEMA_VERSION) -> dict[str, Any]:
    """The published schema of a version, as shipped in the package."""
    return schemas.shipped("reports", f"findings-{version}.json")


def make_folder(out: Path) -> None:
    """Make the folder for a report before hours of work, not after. Raises ReportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot hold the report ({error.strerror}); give another folder as --out"
        ) from error


def _check_against_schema(document: object, path: Path, version: str) -> None:
    found = schemas.misfit(document, shipped_schema(version))
    if found is not None:
        where, why = found
        raise ReportError(
            f"{path} does not fit the findings schema: {_one_line(where or 'the file')}: "
            f"{_one_line(why)}; run the audit again"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _one_line(text: str, limit: int = 160) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
