#!/usr/bin/env python3
"""Free after a grace period: CPU nanoseconds for each object, malloc included.

Runs the programs bench/rcu_FLAVOR of the build tree (make bench-programs) in turn, round by round, and
shows the median of each way, and of its ratios to the others in the same round. BUILD names the build
tree.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys

FLAVORS = ["memb", "mb", "bp", "qsbr"]
WAYS = ["plain", "acre", "call", "defer"]


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}': give a number from 1 on")
    return number


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--objects", type=positive, default=1000000, help="of all producers together")
    parser.add_argument("--flavors", default=",".join(FLAVORS), help=f"of {','.join(FLAVORS)}")
    parser.add_argument("--threads", default="1:2,8:4", help="PRODUCERS:READERS, by commas")
    options = parser.parse_args()
    options.flavors = options.flavors.split(",")
    for flavor in options.flavors:
        if flavor not in FLAVORS:
            parser.error(f"'{flavor}' is no flavour: give some of {','.join(FLAVORS)}")
    try:
        options.threads = [tuple(map(positive, pair.split(":"))) for pair in
                           options.threads.split(",")]
        if any(len(pair) != 2 for pair in options.threads):
            raise ValueError
    except (ValueError, argparse.ArgumentTypeError):
        parser.error("--threads: give PRODUCERS:READERS, such as 1:2,8:4")
    return options


def run(program, way, producers, readers, objects):
    """CPU nanoseconds for each object."""
    result = subprocess.run([program, way, str(producers), str(readers), str(objects)],
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"bench/rcu.py: {program} {way} {producers} {readers}: status {result.returncode}: "
                 f"{result.stderr.strip()}")
    return float(result.stdout)


def main():
    options = arguments()
    build = pathlib.Path(os.environ.get("BUILD", "build"))
    print("| flavour, producers + readers | plain | acre | call_rcu | defer_rcu "
          "| acre / plain | acre / call_rcu | acre / defer_rcu |")
    print("| --- " * 8 + "|")
    for flavor in options.flavors:
        program = build / "bench" / f"rcu_{flavor}"
        if not program.exists():
            sys.exit(f"bench/rcu.py: no {program}: make bench-programs, or set BUILD")
        for producers, readers in options.threads:
            runs = [{way: run(program, way, producers, readers, options.objects) for way in WAYS}
                    for _ in range(options.rounds)]
            cells = [f"{statistics.median(r[way] for r in runs):.0f}" for way in WAYS]
            cells += [f"{statistics.median(r['acre'] / r[way] for r in runs):.2f}"
                      for way in WAYS if way != "acre"]
            print(f"| {flavor}, {producers} + {readers} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
