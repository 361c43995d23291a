"""A chart of CPU time as SVG: bars of each allocator's ratio to the reference, by benchmark."""
import itertools
import math
from xml.sax.saxutils import escape

import report
from results import cpu

# Grey text and middle tones, which can be read on white and on black.
TEXT = "#7a7a7a"
GRID = "#9a9a9a"
COLOURS = {"glibc": "#8c7558", "jemalloc": "#d1662b", "mimalloc": "#c29a1c", "tcmalloc": "#2f9e63",
           "tbbmalloc": "#a565c4", "acre": "#3b86d8", "limit": "#909090"}
SPARE = ["#cf4f72", "#4aa3a8", "#7d7de0"]   # of further libraries
LIMIT = "limit"

LABELS, PLOT, MARGIN = 130, 620, 50     # widths
BAR, GAP = 9, 10                        # heights
LEAST, MOST = 0.1, 10.0                 # a bar beyond is cut off, with its value beside it


class Scale:
    """From a ratio to a place on the logarithmic axis."""

    def __init__(self, ratios):
        # With some room for the value beside a bar.
        ratios = [min(max(factor * one, LEAST), MOST) for one in ratios for factor in (0.9, 1.1)]
        ratios += [0.5, 2.0]
        steps = (0.1, 0.2, 0.5, 1, 2, 5, 10)
        self.low = max(step for step in steps if step <= min(ratios))
        self.high = min(step for step in steps if step >= max(ratios))
        self.ticks = [step for step in steps if self.low <= step <= self.high]

    def at(self, ratio):
        ratio = min(max(ratio, self.low), self.high)
        return LABELS + PLOT * math.log(ratio / self.low) / math.log(self.high / self.low)


def text(x, y, content, anchor="start", size=11, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}">{escape(content)}</text>')


def groups_of(results):
    """Labels with a ratio for each allocator: the benchmarks, then their means."""
    def ratio(benchmark, name):
        return results.ratio(benchmark, name, results.reference, cpu)

    groups = [(benchmark, [ratio(benchmark, name) for name in results.allocators])
              for benchmark in results.benchmarks(*report.TIMED)]
    return groups + list(report.means(results, ratio))


def colours_of(results):
    """By name, in the order of the bars: an allocator has the same in every chart."""
    spare = itertools.cycle(SPARE)
    return {name: COLOURS.get(name) or next(spare)
            for name in results.allocators if name != results.reference}


def bar(scale, top, ratio, colour, tip):
    """From the reference's line to the ratio, with the ratio beside it."""
    one, end = scale.at(1), scale.at(ratio)
    x, width = min(one, end), max(abs(end - one), 1)
    beside = (end + 3, "start") if ratio >= 1 else (end - 3, "end")
    return (f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{BAR - 1}" fill="{colour}">'
            f'<title>{escape(tip)}</title></rect>'
            + text(beside[0], top + BAR - 2, f"{ratio:.2f}", beside[1], 8))


def draw(results, setting):
    """The whole chart, or nothing to draw: then an empty string."""
    groups = groups_of(results)
    colours = colours_of(results)
    # The limit would stretch the axis: its bars are cut off instead.
    ratios = [ratio for _, row in groups for name, ratio in zip(results.allocators, row)
              if ratio is not None and name != LIMIT]
    if not groups or not colours:
        return ""
    scale = Scale(ratios)
    width = LABELS + PLOT + MARGIN
    parts = [text(10, 22, f"CPU time, ratio to {results.reference}: less is better, logarithmic",
                  size=15, weight="bold"),
             text(10, 40, setting)]
    x = 10
    for name, colour in colours.items():
        parts.append(f'<rect x="{x}" y="50" width="10" height="10" fill="{colour}"/>')
        parts.append(text(x + 14, 59, name))
        x += 14 + 8 * len(name) + 16
    first = y = 88
    for label, row in groups:
        height = BAR * len(colours)
        bold = "bold" if label.startswith("mean") else "normal"
        parts.append(text(LABELS - 8, y + height / 2 + 4, label, "end", weight=bold))
        top = y
        for name, ratio in zip(results.allocators, row):
            if name in colours:
                if ratio is not None:
                    parts.append(bar(scale, top, ratio, colours[name],
                                     f"{label}, {name}: {ratio:.2f}"))
                top += BAR
        y += height + GAP
    grid = []
    for step in scale.ticks:
        place, thick = scale.at(step), 1.5 if step == 1 else 0.5
        grid.append(f'<line x1="{place:.1f}" y1="{first - 6}" x2="{place:.1f}" y2="{y}" '
                    f'stroke="{GRID}" stroke-width="{thick}"/>')
        for where in (first - 10, y + 12):
            grid.append(text(place, where, f"{step:g}", "middle"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 24}" '
            f'width="{width}" height="{y + 24}" font-family="sans-serif" fill="{TEXT}">\n'
            + "\n".join(grid + parts) + "\n</svg>\n")
