"""Real programs: each does a fixed amount of work on fixed input, and its output is checked.

These show what an allocator is worth in use: a program spends a small part of its time in malloc,
and what it gains or loses by the placement of its blocks counts as well. Servers are in servers.py.
"""
import dataclasses
import hashlib
import os
import pathlib
import typing

import inputs
import measure
import servers

SCRIPTS = pathlib.Path(__file__).resolve().parent / "workloads"


@dataclasses.dataclass(frozen=True)
class Command:
    """A program that reads its input, writes to its standard output and ends.

    In argv, {input} is the generated file, {scripts} the folder workloads and {size} the amount of
    work: the generator's, or the script's number of rounds.
    """
    name: str
    packages: list
    argv: list
    size: int
    quick_size: int
    generate: typing.Optional[typing.Callable] = None
    env: dict = dataclasses.field(default_factory=dict)

    def missing(self):
        """The tools that aren't there."""
        return servers.missing(self.packages)

    def prepare(self, work, quick=False):
        """Makes the input, and runs once on the C library's malloc to know the right output."""
        size = self.quick_size if quick else self.size
        if self.generate:
            self.generate(work / f"input-{size}", size)
        self.output("", work, size)
        (work / f"expected-{size}").write_text(self.digest(work))

    def run(self, library, work, quick=False):
        """One run; another output than the C library's is an error."""
        size = self.quick_size if quick else self.size
        expected = work / f"expected-{size}"
        if not expected.exists():
            self.prepare(work, quick)
        sample = self.output(library, work, size)
        if self.digest(work) != expected.read_text():
            raise measure.Failed(f"{self.name} wrote something else than on the C library's malloc")
        return sample

    def output(self, library, work, size):
        places = {"input": work / f"input-{size}", "scripts": SCRIPTS, "size": size}
        env = {**os.environ, "LC_ALL": "C", "HOME": str(work), **self.env}
        with open(work / "output", "wb") as out:
            return measure.run_measured([word.format(**places) for word in self.argv], library,
                                        env=env, cwd=work, stdout=out)

    def digest(self, work):
        output = (work / "output").read_bytes()
        if not output:
            raise measure.Failed(f"{self.name} wrote nothing")
        return hashlib.sha256(output).hexdigest()


def package(name, tool, why):
    """A line for build-aux/need-packages."""
    return f"{name}\t{tool}\tbenchmark: {why}"


PROGRAMS = [
    servers.Redis(),
    servers.MariaDb(),
    Command("sqlite3", [package("sqlite3", "sqlite3", "a database in memory")],
            ["sqlite3", "-batch", "-bail", "-init", "/dev/null", ":memory:", ".read {input}"],
            60000, 12000, inputs.sql),
    # Python's own allocator of small objects is switched off. Debian's, not what PATH may hold.
    Command("python3", [package("python3", "/usr/bin/python3", "objects, strings and JSON")],
            ["/usr/bin/python3", "-S", "-B", "{scripts}/objects.py", "{size}"], 6, 1,
            env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
    Command("lua5.4", [package("lua5.4", "lua5.4", "tables and strings")],
            ["lua5.4", "{scripts}/tables.lua", "{size}"], 9, 2),
    Command("perl", [package("perl", "perl", "hashes and regular expressions")],
            ["perl", "{scripts}/records.pl", "{size}"], 4, 1, env={"PERL_HASH_SEED": "0"}),
    Command("gcc", [package("gcc", "gcc", "a compiler")],
            ["gcc", "-x", "c", "-w", "-O1", "-S", "-o", "-", "{input}"], 220, 40,
            inputs.c_source),
    Command("clang", [package("clang", "clang", "a compiler")],
            ["clang", "-x", "c", "-w", "-O1", "-S", "-o", "-", "{input}"], 220, 40,
            inputs.c_source),
    Command("z3", [package("z3", "z3", "a theorem prover")],
            ["z3", "-smt2", "{input}"], 90, 15, inputs.smt),
    Command("jq", [package("jq", "jq", "a JSON file of 18 MB")],
            ["jq", "-c", "-f", "{scripts}/groups.jq", "{input}"], 60000, 10000,
            inputs.json_text),
    Command("xsltproc", [package("xsltproc", "xsltproc", "an XML file of 10 MB")],
            ["xsltproc", "{scripts}/shelves.xsl", "{input}"], 30000, 5000, inputs.xml),
]
