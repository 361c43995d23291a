"""Our kernels: which there are, and how much work each does.

The work is such that each takes about a second of CPU time under glibc on the machine of
RESULTS.md; bench/kernels/ holds their code, and says in what the amounts are.
"""
import dataclasses

import measure

KERNEL, LATENCY, MEMORY = "kernel", "latency", "memory"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One benchmark of ours: its result is CPU time, latencies or memory, by its kind."""
    name: str
    amount: int
    kind: str = KERNEL

    def missing(self):
        """The tools that it needs and that aren't there."""
        return []

    def prepare(self, work, quick=False):
        """Nothing: a kernel has no input."""

    def run(self, library, work, scale):
        """One run; what the program printed is in the sample's extra, by name."""
        amount = self.amount
        if self.kind != MEMORY:
            amount = max(1, round(amount * scale))
        sample = measure.run_measured([measure.BUILD / "bench" / "kernel", self.name, amount],
                                      library, stdout=measure.PIPE)
        output = sample.extra.pop("output")
        for line in output.splitlines():
            figure, value = line.split()
            sample.extra[figure] = float(value)
        return sample


KERNELS = [
    Kernel("pairs", 50000),
    Kernel("fifo", 40000),
    Kernel("replace-1k", 20000),
    Kernel("replace-10k", 12000),
    Kernel("replace-1m", 1000),
    Kernel("bursts", 60),
    Kernel("bursts-reverse", 70),
    Kernel("mid", 2800),
    Kernel("large", 35),
    Kernel("vectors", 25000),
    Kernel("strings", 7000),
    Kernel("trees", 5000),
    Kernel("handover", 8500),
    Kernel("ring", 32000),
    Kernel("larson", 19000),
    Kernel("threads-8", 16000),
    Kernel("churn", 900),
    Kernel("false-passive", 14000),
    Kernel("false-active", 14000),
    Kernel("latency-small", 4000, LATENCY),
    Kernel("latency-mixed", 3000, LATENCY),
    Kernel("latency-threads", 4000, LATENCY),
    Kernel("idle-threads", 500, MEMORY),
    Kernel("trivial", 1, MEMORY),
]
