"""redis-server with four io-threads on acre and on its shipped allocator, round by round.

Each round starts a fresh server, drives it with redis-benchmark and stops it; the two sides take
turns, so that a change of the machine's mood hits both. The number of requests is settled once, by
a round that is not counted, so that a test takes a fraction of a second on this machine, and is
the same for both sides ever after.

redis puts its io-threads to work when at least eight clients (twice their number) wait at once,
and parks them else. They wait busily: where they have no processor each, throughput with few
clients is the scheduler's, not the server's. So there are two parts, one with many clients, the
io-threads at work (blocks then pass between threads: what one io-thread parsed, the main thread
frees), and one with seven clients, where a single thread does it all.
"""
import csv
import os
import re
import socket
from collections import namedtuple

from demo_servers import Failure, Server

IO_THREADS = 4
LEAST_ROUNDS, ROUNDS = 3, 5
SECONDS_PER_TEST = 0.15
KEYS = 100_000
VALUE_BYTES = 100
ARENA_MIB = 512
# Lists grow with each push, and must leave room in the arena however fast the machine is.
MOST_REQUESTS = 400_000

Part = namedtuple("Part", "title clients threaded tests")
Test = namedtuple("Test", "name pipeline first command")
Round = namedtuple("Round", "rates cpu peak allocator arena")


def processors():
    return len(os.sched_getaffinity(0))


def parts():
    crowd = 50 if processors() > IO_THREADS else 400
    simple = ["SET"], ["GET"], ["LPUSH"], ["LRANGE", "mylist", "0", "99"]

    def tests(pipeline, first):
        return [Test(c[0] + ("_100" if len(c) > 1 else ""), p, first * (1 if p == 1 else 10), c)
                for p in (1, pipeline) for c in simple]
    return [Part(f"io-threads at work, {crowd} clients", crowd, True, tests(16, 1_200)),
            Part(f"io-threads parked, {2 * IO_THREADS - 1} clients", 2 * IO_THREADS - 1, False,
                 tests(16, 5_000))]


def info(port):
    """INFO's fields as a dictionary."""
    with socket.create_connection(("127.0.0.1", port), 10) as link, link.makefile("rb") as replies:
        link.sendall(b"INFO everything\r\n")
        head = replies.readline()
        if not head.startswith(b"$"):
            raise OSError("not ready: " + head.decode(errors="replace"))
        body = replies.read(int(head[1:])).decode(errors="replace")
    return dict(line.split(":", 1) for line in body.splitlines() if ":" in line)


def command_line(port):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", ".", "--io-threads", str(IO_THREADS),
            "--io-threads-do-reads", "yes"]


def benchmark(keeper, port, clients, test, requests):
    """Operations per second of one test."""
    what = (test.command if len(test.command) > 1 else ["-t", test.name.lower()])
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(clients),
               "-P", str(test.pipeline), "-n", str(requests), "-r", str(KEYS),
               "-d", str(VALUE_BYTES), "--csv"] + what
    rows = list(csv.reader(keeper.run(command, 40).splitlines()))
    if len(rows) < 2 or rows[0][:2] != ["test", "rps"] or float(rows[-1][1]) <= 0:
        raise Failure(f"redis-benchmark gave no figure for {test.name}: {rows}")
    return float(rows[-1][1])


def verify(server, facts, wanted):
    """The server's own count: every request arrived and none failed."""
    for command, count in wanted.items():
        line = facts.get("cmdstat_" + command.lower(), "")
        seen = {k: int(v) for k, v in re.findall(r"(\w*calls)=(\d+)", line)}
        if seen.get("calls", 0) < count or seen["rejected_calls"] or seen["failed_calls"]:
            raise Failure(f"{server.name} on {server.allocator} counts '{line}' for {command}, "
                          f"and {count} good calls were due")
    if int(facts["io_threaded_writes_processed"]) == 0:
        raise Failure(f"{server.name} on {server.allocator} never put its io-threads to work")


def play(keeper, progress, prefix, label, requests):
    """One round on one side. requests: by (part, test) number; without it, each test's first."""
    server = Server(keeper, "redis-server", prefix, command_line,
                    lambda port: int(info(port)["process_id"]))
    rates, cpu, wanted = {}, [], {}
    for i, part in enumerate(parts()):
        before = server.cpu_seconds()
        for k, test in enumerate(part.tests):
            pipelined = f", {test.pipeline} in a pipeline" if test.pipeline > 1 else ""
            progress.detail(f"{label}: {test.name}{pipelined}, {part.clients} clients")
            count = requests[i, k] if requests else test.first
            with server.blamed():
                rates[i, k] = benchmark(keeper, server.port, part.clients, test, count)
            wanted[test.command[0]] = wanted.get(test.command[0], 0) + count
        cpu.append(server.cpu_seconds() - before)
    with server.blamed():
        verify(server, info(server.port), wanted)
    peak = server.peak_bytes()
    return Round(rates, cpu, peak, server.allocator, server.stop())


def settle(rates):
    """Requests per test, from the rates of the round that is not counted."""
    counts = {}
    for i, part in enumerate(parts()):
        for k, test in enumerate(part.tests):
            least = 2 * part.clients * test.pipeline
            counts[i, k] = min(MOST_REQUESTS, max(least, int(rates[i, k] * SECONDS_PER_TEST)))
    return counts


def compare(keeper, progress, acre, soon, late):
    """All rounds of both sides: fewer than all if they would end after soon, and as few as it
    takes to end before late (in seconds since the start)."""
    prefix = [acre, "run", "--arena", f"{ARENA_MIB}M", "--stats", "--"]
    progress.step("redis-server: a round to learn this machine's pace")
    counts = settle(play(keeper, progress, [], "redis-server, pace", None).rates)
    ours, theirs = [], []
    for number in range(1, ROUNDS + 1):
        began = progress.elapsed()
        for side, rounds, before in (("acre", ours, prefix), ("its own allocator", theirs, [])):
            label = f"redis-server, round {number}, {side}"
            progress.step(label)
            rounds.append(play(keeper, progress, before, label, counts))
        end = 2 * progress.elapsed() - began
        if end > late or (end > soon and number >= LEAST_ROUNDS):
            break
    for each in ours:
        if each.arena["arena bytes"] != ARENA_MIB << 20 or each.arena["refusals"]:
            raise Failure(f"redis-server in {ARENA_MIB}M, arena statistics out of order: "
                          f"{each.arena}")
    return ours, theirs
