"""One style for every picture: colours, markers, sizes, and the way into a page as inline SVG.

matplotlib draws without pyplot: no display is needed, and its settings are put back afterwards. The same input gives
the same bytes. Colours are Okabe and Ito's, darkened to stand out from white, and every kind of point has its own
marker as well (M. Okabe, K. Ito, "Color Universal Design", 2008).
"""

import functools
import html
import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_WIDTH = 3.6  # inches; drawn at about this size on a desktop and on a phone alike
LINE_HEIGHT = 0.155  # inches, of one line of a label

FONTS = "system-ui, 'DejaVu Sans', sans-serif"
INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#dfe3e8"
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a corpus or metric may hold a dollar sign
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.major.size": 0,
    "svg.fonttype": "none",
}

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """How one kind of point is drawn."""

    colour: str
    marker: str
    filled: bool


ATTACK = Kind("#b54700", "o", True)
FLOOR = Kind("#5b6673", "s", False)
CONTROL = Kind("#0072b2", "D", True)
CEILING = Kind("#00795a", "^", False)
CURVES = (ATTACK, CONTROL, CEILING, FLOOR, Kind("#7d4380", "v", True), Kind(INK, "P", True))
MOST_LINES = 2 * len(CURVES)  # in one picture: with more, two would look alike


@dataclass(frozen=True)
class Line:
    """How one of several lines is drawn."""

    kind: Kind
    dashes: str


def line_styles(count: int) -> list[Line]:
    """Colour, marker and dashes of each of `count` lines, no two alike up to MOST_LINES."""
    return [
        Line(CURVES[number % len(CURVES)], ("-", "--")[number // len(CURVES) % 2])
        for number in range(count)
    ]


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Runs a drawing function under STYLE: texts take their settings when they are made."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def plot_axes(height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(FIGURE_WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def few_ticks(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5))


def wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(shortened(label, 60), width=21))


def shortened(label: str, limit: int = 34) -> str:
    return label if len(label) <= limit else label[: limit - 1] + "…"


def inline_svg(figure: "Figure", name: str, alt: str, title: str = "") -> str:
    """The figure as an <svg> element that may stand in a page beside others of its kind.

    `alt` is what a reader who cannot see it is told; with a `title`, that is its name and `alt` its description.
    Ids are prefixed with `name`; the XML prologue, the metadata and the fixed size go, and so
    does the style element, which would apply to the whole page.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            text,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    # The root holds the only clock and the only outside names; the rest refers to ids.
    root, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', root)
    rest = re.sub(r'(?<= )id="', f'id="{name}-', rest)
    rest = re.sub(r'(xlink:)?href="#', f'href="#{name}-', rest)
    rest = rest.replace("url(#", f"url(#{name}-")
    rest = _smaller(rest)
    view = f'{box.group(0) if box else ""} font-family="{FONTS}"'
    said = html.escape(_printable(alt), quote=True)
    if not title:
        return f'<svg class="chart" {view} role="img" aria-label="{said}">{rest}'.strip()
    named = html.escape(_printable(title), quote=True)
    return (
        f'<svg class="chart" {view} role="img" aria-label="{named}" aria-describedby="{name}-alt">'
        f'<title>{named}</title><desc id="{name}-alt">{said}</desc>{rest}'
    ).strip()


def _smaller(svg: str) -> str:
    """The same picture in about half the bytes: hundredths of a point, and said once what many marks share."""
    svg = svg.replace(" font-family: 'DejaVu Sans';", "")  # stands at the root
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # nothing refers to a group
    svg = re.sub(
        r'(?<= )(d|x|y)="([^"<>]*)"',
        lambda found: f'{found[1]}="{" ".join(_NUMBER.sub(_hundredths, found[2]).split())}"',
        svg,
    )
    svg = re.sub(
        r'(?:\s*<use [^>]*? style="([^"]*)"/>)(?:\s*<use [^>]*? style="\1"/>)+', _marks, svg
    )
    return re.sub(r"\n\s+", "\n", svg)


_NUMBER = re.compile(r"-?\d+\.\d+")


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _marks(alike: re.Match[str]) -> str:
    style = f' style="{alike[1]}"'
    return f"\n<g{style}>{alike[0].replace(style, '')}</g>"


def _printable(text: str) -> str:
    """Without the characters that no HTML may hold, and lone surrogates, which no file can."""
    return "".join(c if c.isprintable() or c.isspace() else " " for c in text)
