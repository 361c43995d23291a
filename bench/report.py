"""Tables of the results, as text."""
import datetime
import os
import platform
import statistics

from kernels import KERNEL, LATENCY, MEMORY
from results import cpu, peak

PROGRAM = "program"
TIMED = (KERNEL, PROGRAM)
FIGURES = (("CPU time", cpu), ("peak memory", peak))
LATENCIES = [f"{call}_{share}" for call in ("malloc", "free")
             for share in ("p50", "p99", "p99.9", "p99.99", "max")]


def cell(value, width, digits=2):
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def setting(rounds):
    """The machine, the date and the rounds, in one line."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = " ".join(line.partition(":")[2].split())
                break
    return (f"{os.cpu_count()} x {model}, Linux {platform.release().split('-')[0]}, "
            f"{' '.join(platform.libc_ver())}; {datetime.date.today()}; {rounds} rounds")


def heading(text):
    return f"\n{text}\n{'-' * len(text)}"


def detail_head(reference):
    to = f"to {reference}"
    return (f"{'benchmark':16} {'allocator':10}{'CPU s':>9}{'least':>9}{'most':>9}{to:>13}"
            f"{'to best':>9}{'wall s':>9}{'peak MiB':>10}{to:>13}")


def detail(results, benchmark):
    """The lines of one timed benchmark: medians, the spread of CPU time, ratios."""
    best = results.best(benchmark, cpu)
    lines = []
    for name in results.allocators:
        seconds = results.of(benchmark, name, cpu)
        mebibytes = results.median(benchmark, name, peak)
        lines.append(
            f"{'' if lines else benchmark:16} {name:10}"
            + cell(statistics.median(seconds) if seconds else None, 9, 3)
            + cell(min(seconds, default=None), 9, 3) + cell(max(seconds, default=None), 9, 3)
            + cell(results.ratio(benchmark, name, results.reference, cpu), 13)
            + cell(results.to_best(benchmark, name, cpu), 9)
            + cell(results.median(benchmark, name, lambda sample: sample.wall), 9, 3)
            + cell(None if mebibytes is None else mebibytes / 1024, 10, 1)
            + cell(results.ratio(benchmark, name, results.reference, peak), 13)
            + ("  < best peer" if name == best else ""))
    return "\n".join(lines)


def means(results, ratio):
    """Geometric means over the kernels, the programs, and both."""
    kinds = [kind for kind in TIMED if results.benchmarks(kind)]
    groups = [(f"mean of {kind}s", results.benchmarks(kind)) for kind in kinds]
    if len(kinds) > 1:
        groups.append(("mean of all", results.benchmarks(*TIMED)))
    for label, group in groups:
        yield label, [results.geometric_mean(group, name, ratio) for name in results.allocators]


def matrix(results, title, ratio):
    """A line for each benchmark, a column for each allocator."""
    lines = [heading(title), f"{'':16}" + "".join(f"{name:>10}" for name in results.allocators)]
    for benchmark in results.benchmarks(*TIMED):
        lines.append(f"{benchmark:16}" + "".join(
            cell(ratio(benchmark, name), 10) for name in results.allocators))
    for label, values in means(results, ratio):
        lines.append(f"{label:16}" + "".join(cell(value, 10) for value in values))
    return "\n".join(lines)


def matrices(results):
    """CPU time and peak memory, to the reference and to the best peer."""
    reference = results.reference

    def to_reference(figure):
        return lambda benchmark, name: results.ratio(benchmark, name, reference, figure)

    def to_best(figure):
        return lambda benchmark, name: results.to_best(benchmark, name, figure)

    if not results.benchmarks(*TIMED):
        return
    yield matrix(results, f"CPU time, ratio to {reference}", to_reference(cpu))
    if len(results.rivals) > 1:
        yield matrix(results, "CPU time, ratio to the best peer of each benchmark", to_best(cpu))
    yield matrix(results, f"peak memory, ratio to {reference}", to_reference(peak))
    if len(results.rivals) > 1:
        yield matrix(results, "peak memory, ratio to the best peer of each benchmark",
                     to_best(peak))


def latencies(results):
    """ns of single calls: the median of the rounds' percentiles, and the least of their maxima."""
    for benchmark in results.benchmarks(LATENCY):
        lines = [heading(f"{benchmark}: ns of single calls (of max: the least of the rounds)"),
                 f"{'':10}{'malloc':>6}{'':40}{'free':>5}",
                 f"{'':10}" + "".join(f"{name.split('_')[1]:>9}{'  ' * (name == 'malloc_max')}"
                                     for name in LATENCIES)]
        for name in results.allocators:
            line = f"{name:10}"
            for figure in LATENCIES:
                values = results.of(benchmark, name, lambda sample: sample.extra[figure])
                middle = min if figure.endswith("max") else statistics.median
                line += cell(middle(values) if values else None, 9, 0)
                line += "  " * (figure == "malloc_max")
            lines.append(line)
        yield "\n".join(lines)


def memory(results):
    """The figures of the memory kernels: KiB, with the distance to the reference."""
    for benchmark in results.benchmarks(MEMORY):
        lines = [heading(f"{benchmark}: KiB"),
                 f"{'':10}{'KiB':>10}{'beyond ' + results.reference:>18}"]
        for name in results.allocators:
            kib = results.median(benchmark, name, only_figure)
            base = results.median(benchmark, results.reference, only_figure)
            beyond = None if kib is None or base is None else kib - base
            lines.append(f"{name:10}" + cell(kib, 10, 1) + cell(beyond, 18, 1))
        yield "\n".join(lines)


def only_figure(sample):
    """Of a memory kernel's run: it has just one."""
    return next(iter(sample.extra.values()))


def overview(results):
    """What to look at first: the means of all, and what ours are to the best peers."""
    reference = results.reference
    columns = [(title, list(means(results, lambda benchmark, name: results.ratio(
        benchmark, name, reference, figure)))) for title, figure in FIGURES]
    if not columns[0][1]:
        return
    groups = [label.removeprefix("mean of ") for label, _ in columns[0][1]]
    width = 12 * len(groups)
    lines = [heading(f"summary: geometric means of the ratios to {reference}"),
             " " * 16 + "".join(f"{title:>{width}}" for title, _ in columns),
             " " * 16 + "".join(f"{group:>12}" for group in groups) * len(columns)]
    for place, name in enumerate(results.allocators):
        lines.append(f"{name:16}" + "".join(
            cell(values[place], 12) for _, rows in columns for _, values in rows))
    yield "\n".join(lines) + "\n" * bool(results.ours)
    for name in results.ours:
        for title, figure in FIGURES:
            yield from beside_best(results, name, title, figure)


def beside_best(results, name, title, figure):
    """Two lines: an allocator's means to the best peer, and where it is furthest behind."""
    def to_best(benchmark, allocator):
        return results.to_best(benchmark, allocator, figure)

    ratios = {benchmark: to_best(benchmark, name) for benchmark in results.benchmarks(*TIMED)}
    there = {benchmark: ratio for benchmark, ratio in ratios.items() if ratio is not None}
    if not there:
        return
    best = "the best peer of each benchmark" if len(results.rivals) > 1 else results.rivals[0]
    place = results.allocators.index(name)
    found = [f"{label.removeprefix('mean of ')} {cell(values[place], 0)}"
             for label, values in means(results, to_best)]
    worst = [f"{benchmark} {there[benchmark]:.2f}"
             for benchmark in sorted(there, key=there.get, reverse=True)[:3]]
    yield (f"{name} to {best}, {title}: {', '.join(found)}\n"
           f"    highest: {', '.join(worst)}")


def summary(results):
    """All tables that come after the details, and last what they come to."""
    return "\n".join([*matrices(results), *latencies(results), *memory(results),
                      *overview(results)])
