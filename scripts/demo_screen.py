"""What the demonstration shows: a progress line while it works, and tables at the end.

On a terminal the progress is one line that is written over; elsewhere each step is a line of its
own, so that a log stays readable.
"""
import shutil
import statistics
import sys
import time

LABEL, COLUMN = 44, 17


class Progress:
    def __init__(self):
        self.start = time.monotonic()
        self.live = sys.stdout.isatty()

    def elapsed(self):
        return time.monotonic() - self.start

    def step(self, text):
        """A step of some seconds."""
        if self.live:
            self.detail(text)
        else:
            print(f"[{self.elapsed():3.0f} s] {text}", flush=True)

    def detail(self, text):
        """What happens within a step: for watching eyes alone."""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + f"[{self.elapsed():3.0f} s] {text}"[:width] + "\033[K", end="", flush=True)

    def clear(self):
        if self.live:
            print("\r\033[K", end="", flush=True)


def mib(count):
    return f"{count / (1 << 20):,.1f} MiB"


def spread(values):
    """The median, and half the distance between the extremes in percent of it."""
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / 2 / middle * 100 if middle else 0.0


def title(text):
    print(f"\n{text}\n{'-' * len(text)}")


def row(label, *cells):
    print(f"{label:<{LABEL}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells).rstrip())


def ratio_row(label, ours, theirs, form):
    """Medians of two sets of rounds beside each other, and how far apart they are; in brackets
    where the two sets overlap."""
    a, a_spread = spread(ours)
    b, b_spread = spread(theirs)
    far = f"{(a / b - 1) * 100:+.1f} %" if b else "-"
    if b and min(ours) <= max(theirs) and min(theirs) <= max(ours):
        far = f"({far})"
    else:
        far += " "
    row(label, *(f"{format(middle, form)} \u00b1{width:2.0f} %"
                 for middle, width in ((a, a_spread), (b, b_spread))), far)
