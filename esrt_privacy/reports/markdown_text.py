"""Text from a run inside Markdown: a corpus can be hostile, and its words must stay words."""

import re
from collections.abc import Iterable, Sequence

from esrt_privacy.reports.wording import plain

_ACTIVE = re.compile(r"([\\`*_{}\[\]|~$])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# A page that shows Markdown calls people, links threads and addresses even where they are escaped; a joiner of no
# width between the characters keeps it from it.
_CALLS = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
JOINER = "\u2060"


def text(value: object) -> str:
    """One line in which nothing is read as Markdown, HTML, a link or a mention."""
    marked = _ACTIVE.sub(r"\\\1", plain(str(value)))
    return _CALLS.sub(JOINER, re.sub("[&<>]", lambda found: _HTML[found[0]], marked))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; `rows` hold Markdown, so pass names and texts through `text` first."""
    lines = [_row(heads), _row(["---"] * len(heads)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
