"""The fields that records of a run are made of, and what each refuses."""

import math
from numbers import Real
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Record(BaseModel):
    """Frozen, and closed: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _null_when_not_finite(value: object) -> object:
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        return number if math.isfinite(number) else None
    return value


def _inside_the_folder(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise ValueError("must be a relative path inside the run's folder, with forward slashes")
    return path


Measured = Annotated[float | None, BeforeValidator(_null_when_not_finite)]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_inside_the_folder)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([.\-][a-z0-9]+)*$", max_length=120)]
Named = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
