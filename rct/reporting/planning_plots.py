"""Pictures for planning: a wedge's two answers under several courses, and designs of one budget."""

from typing import TYPE_CHECKING

from rct.reporting.analyses import promised_name
from rct.reporting.figure_markup import new_figure, svg_markup
from rct.reporting.okabe_ito import BLUE, GREY, INK, PALE
from rct.reporting.power_plot import PowerBar, draw_power

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROW = 0.55
HEAD = 1.1


def two_answers_svg(frame: "pd.DataFrame", outcome: str, label: str) -> str:
    """Draw how often each answer finds the effect of one outcome, and how far its estimate is off.

    Parameters
    ----------
    frame
        As `rct.power.two_answers` gives it.
    """
    from matplotlib.figure import Figure

    own = frame[frame["outcome"] == outcome]
    courses = list(dict.fromkeys(own["course"]))
    answers = list(dict.fromkeys(own["answer"]))
    figure = Figure(figsize=(9.0, ROW * len(courses) + HEAD), layout="constrained")
    chance, bias = figure.subplots(1, 2, sharey=True)
    for axes, column, scale in ((chance, "excludes_null", 100.0), (bias, "bias", 1.0)):
        for number, answer in enumerate(answers):
            rows = own[own["answer"] == answer].set_index("course").loc[courses]
            places = [place + 0.14 * (2 * number - 1) for place in range(len(courses))]
            filled = {"color": BLUE} if number == 0 else {"color": INK, "markerfacecolor": "white"}
            axes.plot(scale * rows[column], places, "os"[number], label=promised_name(answer), **filled)
        _dress(axes, courses)
    tested = own[own["answer"] == answers[0]].set_index("course").loc[courses]
    chance.plot(100 * tested["power"], range(len(courses)), "|", color=GREY, ms=16, label="p-value, of both")
    chance.set_xlim(left=-1)
    chance.set_xlabel("studies (%) whose interval excludes no change", fontsize=9, color=GREY)
    figure.suptitle(label, fontsize=10, color=INK, parse_math=False)
    bias.axvline(0, color=GREY, linewidth=1)
    bias.set_xlabel("bias for the mean log effect over the window", fontsize=9, color=GREY)
    figure.legend(
        *chance.get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower center", ncols=3
    )
    told = "; ".join(
        f"{row['course']}, {promised_name(row['answer'])}: "
        f"{100 * row['excludes_null']:.0f} %, bias {row['bias']:+.2f}"
        for row in own.to_dict("records")
    )
    return svg_markup(figure, name=f"two-answers-{outcome}", alt=f"Two answers for {label}. {told}.")


def designs_svg(frame: "pd.DataFrame", outcome: str, label: str) -> str:
    """Draw the power of each design for one outcome.

    Parameters
    ----------
    frame
        As `rct.power.compare_designs` gives it.
    """
    own = frame[frame["outcome"] == outcome]
    bars = [PowerBar(row["design"], row["power"], row["mc_error"]) for row in own.to_dict("records")]
    figure, (axes,) = new_figure([ROW * len(bars) + HEAD])
    draw_power(axes, bars)
    axes.set_title(label, loc="left", fontsize=10, color=INK, parse_math=False)
    told = "; ".join(f"{bar.label} {100 * bar.power:.0f} %" for bar in bars)
    return svg_markup(figure, name="designs", alt=f"Power for {label} by design: {told}.")


def _dress(axes: "Axes", courses: list[str]) -> None:
    axes.set_yticks(range(len(courses)), labels=courses, fontsize=9, color=INK, parse_math=False)
    axes.set_ylim(len(courses) - 0.5, -0.5)
    axes.tick_params(length=0, labelsize=9, labelbottom=True)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
