"""A matplotlib figure as SVG that stands inline in a page: alt text, no outside reference, equal bytes."""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

XLINK = "{http://www.w3.org/1999/xlink}"


def new_figure(heights: Sequence[float], *, width: float = 9.0) -> "tuple[Figure, list[Axes]]":
    """Make a figure without pyplot's global state, with one axes below the other.

    Parameters
    ----------
    heights
        Of each axes, in inches.
    width
        In inches; the page scales the figure to its column.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=list(heights), sharex=True)
    return figure, list(axes[:, 0])


def svg_markup(figure: "Figure", *, name: str, alt: str) -> str:
    """Give the figure as an inline SVG element.

    Text stays text, so that it can be searched; ids carry the figure's name, so that several figures live in
    one page.

    Parameters
    ----------
    name
        Prefix of the ids inside, unique in the page.
    alt
        What the figure shows, for those who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())
    _make_inline(root, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    return ET.tostring(root, encoding="unicode")


def svg_file(markup: str) -> str:
    """Make inline SVG a file of its own, which browsers and editors open: it needs its namespace there."""
    return markup.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _make_inline(root: ET.Element, name: str) -> None:
    """Drop namespaces, metadata and the style sheet (it would reach the whole page); number the ids."""
    for element in root.iter():
        for child in [c for c in element if _local(c) in ("metadata", "style")]:
            element.remove(child)
    # matplotlib makes some ids from places in memory: numbered in order, equal figures have equal bytes.
    given = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    ids = {old: f"{name}-{number}" for number, old in enumerate(dict.fromkeys(given), start=1)}
    for element in root.iter():
        element.tag = _local(element)
        for attribute, value in list(element.attrib.items()):
            del element.attrib[attribute]
            element.attrib[attribute.removeprefix(XLINK)] = _with_new_ids(attribute, value, ids)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")


def _local(element: ET.Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _with_new_ids(attribute: str, value: str, ids: dict[str, str]) -> str:
    if attribute == "id":
        return ids[value]
    if attribute.endswith("href"):
        return f"#{ids[value.removeprefix('#')]}"
    return re.sub(r"url\(#([^)]*)\)", lambda link: f"url(#{ids[link[1]]})", value)
