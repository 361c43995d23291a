"""All runs, and the figures that follow from them."""
import csv
import dataclasses
import math
import statistics

import measure


@dataclasses.dataclass(frozen=True)
class Run:
    """One process, or one server with its children."""
    benchmark: str
    kind: str
    allocator: str
    round: int
    sample: measure.Sample


def cpu(sample):
    return sample.cpu


def peak(sample):
    return float(sample.peak)


class Results:
    """The runs, looked up by benchmark and allocator. Ratios are taken round by round: the two runs
    were neighbours then, and whatever else the machine did hit both alike."""

    def __init__(self, allocators, rivals, ours, reference):
        self.allocators = allocators    # names, in the order of the tables
        self.rivals = rivals            # those among which the best peer is looked for
        self.ours = ours                # those that are compared to the best peer
        self.reference = reference
        self.runs = []
        self.kinds = {}                 # of each benchmark, in the order they ran
        self.samples = {}               # by benchmark and allocator: round -> sample

    def add(self, run):
        self.runs.append(run)
        self.kinds[run.benchmark] = run.kind
        self.samples.setdefault((run.benchmark, run.allocator), {})[run.round] = run.sample

    def drop(self, benchmark, allocator):
        """What failed once counts in no round."""
        self.samples.pop((benchmark, allocator), None)

    def benchmarks(self, *kinds):
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def of(self, benchmark, allocator, figure):
        """The figure of each round, or nothing."""
        samples = self.samples.get((benchmark, allocator), {})
        return [figure(sample) for sample in samples.values()]

    def median(self, benchmark, allocator, figure):
        values = self.of(benchmark, allocator, figure)
        return statistics.median(values) if values else None

    def ratio(self, benchmark, allocator, other, figure):
        """The median of the rounds' ratios to another allocator, or None."""
        mine = self.samples.get((benchmark, allocator), {})
        theirs = self.samples.get((benchmark, other), {})
        ratios = [figure(mine[n]) / max(figure(theirs[n]), 1e-6) for n in mine if n in theirs]
        return statistics.median(ratios) if ratios else None

    def best(self, benchmark, figure):
        """The rival whose median is least, or None."""
        medians = {name: self.median(benchmark, name, figure) for name in self.rivals}
        there = {name: value for name, value in medians.items() if value is not None}
        return min(there, key=there.get) if there else None

    def to_best(self, benchmark, allocator, figure):
        best = self.best(benchmark, figure)
        return self.ratio(benchmark, allocator, best, figure) if best else None

    def geometric_mean(self, benchmarks, allocator, ratio):
        """Of ratio(benchmark, allocator); None unless each benchmark has one."""
        ratios = [ratio(benchmark, allocator) for benchmark in benchmarks]
        if not ratios or None in ratios:
            return None
        return math.exp(statistics.fmean(math.log(max(one, 1e-6)) for one in ratios))

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["benchmark", "kind", "allocator", "round", "cpu_seconds",
                             "wall_seconds", "peak_kib", "figures"])
            for run in self.runs:
                sample = run.sample
                figures = " ".join(f"{name}={value}" for name, value in sample.extra.items())
                writer.writerow([run.benchmark, run.kind, run.allocator, run.round,
                                 f"{sample.cpu:.6f}", f"{sample.wall:.6f}", sample.peak, figures])
