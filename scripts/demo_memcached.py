"""memcached at its limit: the same server, filled the same way, in a small arena and on glibc.

memcached is told that it may hold 1 GiB (-m 1024) and must not evict (-M). It takes its memory in
slab pages of 1 MiB by malloc as items arrive, and starts with about 2 MiB. In an arena of 64 MiB
malloc therefore says no long before memcached's own limit, and the server has to live with it:
refuse that item, keep all others, serve on. Pages aren't moved between size classes
(slab_automove=0), so that what deleted items leave can be counted on by new items of their sizes.

Four clients on loopback, one per worker thread, write items whose length and content follow from
their number, so that each one can be verified later.
"""
import contextlib
import os
import pwd
import random
import socket
import threading
import time
from collections import Counter, namedtuple

from demo_servers import Failure, Server, available_memory

WORKERS = 4
ARENA_MIB = 64
LIMIT_MIB = 1024
OFFER_BYTES = 1024 << 20
LEAST_OFFER = 4 * ARENA_MIB << 20
MACHINE_RESERVE = 256 << 20
# Libraries' data, stacks and the like: anonymous memory that isn't malloc's.
OUTSIDE_ARENA = 8 << 20
BATCH = 32
NEW_CLIENTS = 64
REFUSAL = b"SERVER_ERROR out of memory storing object"
SHORTEST, LONGEST = 512, 16384
POOL = random.Random(64).randbytes(1 << 20)

Limit = namedtuple("Limit", "allocator offered stored stored_bytes refused first_refusal deleted "
                            "renewed verified cpu peak anonymous pages arena")


def key_of(number):
    return b"item-%010d" % number


def value_of(number):
    """Length and content follow from the number; the key is part of it."""
    mixed = number * 2654435761 & 0xffffffff
    length = SHORTEST + (mixed >> 8) % (LONGEST - SHORTEST)
    start = (mixed >> 4) % (len(POOL) - LONGEST)
    key = key_of(number)
    return key + POOL[start:start + length - len(key)]


class Client:
    """One connection that speaks memcached's text protocol."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), 20)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.link.makefile("rb", 1 << 16)

    def close(self):
        try:
            # Wakes a thread that reads from it; closing alone would wait for that thread.
            self.link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.replies.close()
        self.link.close()

    def line(self):
        reply = self.replies.readline()
        if not reply.endswith(b"\r\n"):
            raise Failure("memcached closed a connection in the midst of a reply")
        return reply[:-2]

    def set(self, items):
        """Stores (key number, value number) pairs; returns a reply each."""
        parts = []
        for key, number in items:
            value = value_of(number)
            parts.append(b"set %s 0 0 %d\r\n%s\r\n" % (key_of(key), len(value), value))
        self.link.sendall(b"".join(parts))
        return [self.line() for _ in items]

    def delete(self, keys):
        self.link.sendall(b"".join(b"delete %s\r\n" % key_of(k) for k in keys))
        return [self.line() for _ in keys]

    def get(self, keys):
        """A dictionary of what was there, by key."""
        self.link.sendall(b"get %s\r\n" % b" ".join(map(key_of, keys)))
        found = {}
        while (line := self.line()) != b"END":
            word = line.split()
            if len(word) != 4 or word[0] != b"VALUE":
                raise Failure(f"memcached answered '{line.decode(errors='replace')}' to get")
            value = self.replies.read(int(word[3]) + 2)
            if len(value) != int(word[3]) + 2:
                raise Failure("memcached closed a connection in the midst of a value")
            found[word[1]] = value[:-2]
        return found

    def stats(self, what=b""):
        self.link.sendall(b"stats " + what + b"\r\n" if what else b"stats\r\n")
        facts = {}
        while (line := self.line()) != b"END":
            word = line.decode(errors="replace").split(maxsplit=2)
            if len(word) == 3 and word[0] == "STAT":
                facts[word[1]] = word[2]
            else:
                raise OSError("not ready: " + line.decode(errors="replace"))
        return facts


def state_pid(port):
    try:
        client = Client(port)
        try:
            return int(client.stats()["pid"])
        finally:
            client.close()
    except Failure as gone:
        raise OSError(str(gone)) from None


def command_line(port):
    user = ["-u", pwd.getpwuid(0).pw_name] if os.geteuid() == 0 else []
    return ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", str(WORKERS),
            "-m", str(LIMIT_MIB), "-M", "-o", "slab_automove=0"] + user


def batches(sequence):
    return (sequence[i:i + BATCH] for i in range(0, len(sequence), BATCH))


class Crew:
    """Four clients, each with a thread of its own, at one task at a time."""

    def __init__(self, port):
        self.clients = [Client(port) for _ in range(WORKERS)]
        self.done = [0] * WORKERS

    def close(self):
        for client in self.clients:
            client.close()

    def work(self, task, show):
        """Runs task(client, worker) for all at once; show(done) every now and then."""
        errors = []
        self.done = [0] * WORKERS

        def body(worker):
            try:
                task(self.clients[worker], worker)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=body, args=(w,), daemon=True) for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not errors:
            show(sum(self.done))
            for thread in threads:
                thread.join(0.05)
        if errors:
            if isinstance(errors[0], OSError):
                raise Failure(f"a client lost memcached: {errors[0]}")
            raise errors[0]


def offer(crew, show, total):
    """Sets items until total bytes were offered. Returns the stored and the refused numbers."""
    stored, refused = [[] for _ in range(WORKERS)], [[] for _ in range(WORKERS)]
    first_refusal = []
    share = total // WORKERS

    def task(client, worker):
        number = worker
        while crew.done[worker] < share:
            if available_memory() < MACHINE_RESERVE // 2:
                raise Failure("the machine runs out of memory: stopped filling memcached")
            batch = [number + i * WORKERS for i in range(BATCH)]
            number += BATCH * WORKERS
            for item, reply in zip(batch, client.set([(n, n) for n in batch])):
                if reply == b"STORED":
                    stored[worker].append(item)
                elif reply == REFUSAL:
                    refused[worker].append(item)
                    if not first_refusal:
                        first_refusal.append(sum(crew.done))
                else:
                    raise Failure(f"memcached answered '{reply.decode(errors='replace')}' to set")
            crew.done[worker] += sum(len(value_of(n)) for n in batch)

    crew.work(task, lambda done: show(f"{done >> 20} MiB offered, {sum(map(len, stored)):,} items "
                                      f"stored, {sum(map(len, refused)):,} refused"))
    return stored, refused, first_refusal[0] if first_refusal else None


def verify(crew, show, expected):
    """expected: per worker, pairs of a key number and its value's number, None for no such key."""
    def task(client, worker):
        for batch in batches(expected[worker]):
            found = client.get([key for key, _ in batch])
            for key, number in batch:
                want = None if number is None else value_of(number)
                got = found.get(key_of(key))
                if got != want:
                    raise Failure(f"{key_of(key).decode()} " +
                                  ("should be gone and is there" if want is None else
                                   "was stored and is missing" if got is None else
                                   "came back with another content"))
            crew.done[worker] += len(batch)

    crew.work(task, lambda done: show(f"{done:,} items verified"))
    return sum(number is not None for share in expected for _, number in share)


def renew(crew, show, stored):
    """Deletes every third item and stores as many new ones with the same contents' lengths."""
    gone = [share[::3] for share in stored]
    fresh = [[(1_000_000_000 + n, n) for n in share] for share in gone]

    def task(client, worker):
        for batch in batches(gone[worker]):
            odd = set(client.delete(batch)) - {b"DELETED"}
            if odd:
                raise Failure("memcached answered a delete of a stored item with "
                              f"'{odd.pop().decode(errors='replace')}'")
            crew.done[worker] += len(batch)
        for batch in batches(fresh[worker]):
            odd = Counter(client.set(batch)) - Counter({b"STORED": BATCH})
            if odd:
                raise Failure("memcached has room from deleted items and answers a new one with "
                              f"'{next(iter(odd)).decode(errors='replace')}'")
            crew.done[worker] += len(batch)

    crew.work(task, lambda done: show(f"{done:,} items deleted or stored anew"))
    return gone, fresh


def knock(port, known):
    """New clients at the limit, one after another: each is let in and served."""
    try:
        for _ in range(NEW_CLIENTS):
            client = Client(port)
            try:
                if client.get([known]) != {key_of(known): value_of(known)}:
                    raise Failure("it got a wrong answer")
            finally:
                client.close()
    except (Failure, OSError) as error:
        raise Failure(f"a new client at the limit was not served: {error}") from None


def amount(progress):
    """How much to offer: the full amount, or what this machine's memory allows."""
    room = (available_memory() - MACHINE_RESERVE) * 3 // 4
    if room < LEAST_OFFER:
        raise Failure(f"too little free memory to fill memcached on glibc: {room >> 20} MiB may be "
                      f"used, at least {LEAST_OFFER >> 20} MiB are needed")
    if room < OFFER_BYTES:
        progress.step(f"memcached: little free memory, offering {room >> 20} MiB only")
    return min(OFFER_BYTES, room)


def fill(keeper, progress, prefix, label, total):
    """One server's life at the limit."""
    progress.step(f"{label}: filling")
    server = Server(keeper, "memcached", prefix, command_line, state_pid)

    def show(text):
        server.require_alive()
        progress.detail(f"{label}: {text}")

    with server.blamed(), contextlib.closing(Crew(server.port)) as crew:
        stored, refused, first = offer(crew, show, total)
        if not all(stored):
            raise Failure("memcached stored nothing for one of its clients")
        progress.step(f"{label}: verifying, deleting, storing anew")
        expected = [[(n, n) for n in has] + [(n, None) for n in lacks]
                    for has, lacks in zip(stored, refused)]
        verified = verify(crew, show, expected)
        knock(server.port, stored[0][0])
        gone, fresh = renew(crew, show, stored)
        expected = [[(n, n) for n in has if n not in lost] + [(n, None) for n in lost] + new
                    for has, lost, new in zip(stored, map(frozenset, gone), fresh)]
        verified += verify(crew, show, expected)
        knock(server.port, stored[0][1])
        facts, slabs = crew.clients[0].stats(), crew.clients[0].stats(b"slabs")
    server.require_alive()

    counts = [sum(map(len, lists)) for lists in (stored, refused, gone, fresh)]
    for name, want in (("threads", WORKERS), ("evictions", 0), ("curr_items", counts[0]),
                       ("limit_maxbytes", LIMIT_MIB << 20)):
        if int(facts[name]) != want:
            raise Failure(f"memcached's stats say {name} {facts[name]}, and {want} was due")
    # total_malloced would count the refused pages too.
    pages = sum(int(v) for k, v in slabs.items() if k.endswith(":total_pages"))
    cpu, peak, anonymous = server.cpu_seconds(), server.peak_bytes(), server.anonymous_bytes()
    return Limit(server.allocator, total, counts[0],
                 sum(len(value_of(n)) for share in stored for n in share), counts[1], first,
                 counts[2], counts[3], verified, cpu, peak, anonymous,
                 pages, server.stop())


def compare(keeper, progress, acre):
    prefix = [acre, "run", "--arena", f"{ARENA_MIB}M", "--stats", "--"]
    total = amount(progress)
    ours = fill(keeper, progress, prefix, f"memcached in an arena of {ARENA_MIB}M", total)
    theirs = fill(keeper, progress, [], "memcached on its own allocator", total)
    if not ours.refused:
        raise Failure(f"memcached in {ARENA_MIB}M was offered {total >> 20} MiB and never answered "
                      f"'{REFUSAL.decode()}'")
    if ours.arena["arena bytes"] != ARENA_MIB << 20 or not ours.arena["refusals"]:
        raise Failure(f"memcached in {ARENA_MIB}M, arena statistics out of order: {ours.arena}")
    if ours.anonymous > (ARENA_MIB << 20) + OUTSIDE_ARENA:
        raise Failure(f"memcached in {ARENA_MIB}M has {ours.anonymous >> 20} MiB of anonymous "
                      "memory: the arena does not hold it")
    if theirs.peak < theirs.stored_bytes or theirs.stored <= 2 * ours.stored:
        raise Failure(f"memcached on {theirs.allocator} stored {theirs.stored} items and did not "
                      "grow beyond the arena")
    return ours, theirs
