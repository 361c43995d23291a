"""Servers as workloads: a fixed number of requests, and what the server alone used for them.

The clients always run on the allocators they were shipped with. Servers listen on 127.0.0.1 or on a
socket in the work folder, keep their data there, and are ended whatever happens.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import time

import measure
import peers

START_SECONDS = 60
CLIENT_SECONDS = 300


def missing(packages):
    """The tools of such lines ('package<TAB>tool<TAB>why') that aren't there."""
    tools = [line.split("\t")[1] for line in packages]
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
    return [tool for tool in tools
            if not (os.path.exists(tool) if tool[0] == "/" else shutil.which(tool, path=path))]


def client_environment():
    """Ours, without what would put a client on another allocator."""
    return {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}


def run_client(argv, cwd):
    """A client to its end; returns what it wrote."""
    client = subprocess.Popen(argv, cwd=cwd, env=client_environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", start_new_session=True)
    with client:
        try:
            output, errors = client.communicate(timeout=CLIENT_SECONDS)
        except BaseException as error:
            # With its children: mariadb-install-db is a script that starts a server.
            measure.kill_group(client)
            if isinstance(error, subprocess.TimeoutExpired):
                raise measure.Failed(f"{argv[0]} did not end within {CLIENT_SECONDS} s") from None
            raise
    if client.returncode != 0:
        said = (errors.strip() or output.strip() or "it said nothing").splitlines()
        raise measure.Failed(f"{argv[0]} ended with status {client.returncode}: {said[-1]}")
    return output


def await_server(server, ready):
    """Waits until ready() returns True; OSError and False mean not yet."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except OSError:
            pass
        if not server.running():
            server.wait()
            raise measure.Failed(f"{server.name} ended at its start: {server.complaint()}")
        time.sleep(0.02)
    raise measure.Failed(f"{server.name} does not answer {START_SECONDS} s after its start")


def require_mapped(server, library):
    """The loader only warns when it can't preload a library, and runs the program without."""
    maps = pathlib.Path(f"/proc/{server.pid}/maps").read_text()
    if library and os.path.realpath(library) not in maps:
        raise measure.Failed(f"{server.name} runs without {library}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisClient:
    """As much of redis's protocol as the checks need."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), 20)
        self.replies = self.link.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.link.close()

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.link.sendall(b"".join(parts))

    def ask(self, *words):
        """The reply: bytes, a number, or None."""
        self.send(*words)
        line = self.replies.readline()
        if not line.endswith(b"\r\n") or line[:1] == b"-":
            raise OSError("redis-server answered " + repr(line))
        kind, rest = line[:1], line[1:-2]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return self.replies.read(int(rest) + 2)[:-2]
        return rest

    def info(self):
        body = self.ask("INFO").decode(errors="replace")
        return dict(line.split(":", 1) for line in body.splitlines() if ":" in line)


class Redis:
    """redis-server under redis-benchmark, 32 requests in a pipeline.

    Debian links it to jemalloc, but it calls plain malloc, which a preload takes over. To run on
    glibc's, it needs one as well. jemalloc's own counter, which redis-server shows, tells whether
    the blocks came from elsewhere.
    """
    name = "redis"
    packages = ["redis-server\tredis-server\tbenchmark: a server",
                "redis-tools\tredis-benchmark\tbenchmark: its client"]
    keys = 60_000
    requests = 120_000
    quick_requests = 20_000
    # What the requests are: strings of two sizes that take each other's place, lists, hashes, sets
    # in order, and the removal of keys. redis-benchmark replaces __rand_int__ by a key's number.
    tests = [
        ["SET", "key:__rand_int__", "v" * 40],
        ["SET", "key:__rand_int__", "w" * 700],
        ["APPEND", "key:__rand_int__", "x" * 25],
        ["GET", "key:__rand_int__"],
        ["LPUSH", "list", "e" * 90],
        ["HSET", "hash:__rand_int__", "field:__rand_int__", "f" * 60],
        ["ZADD", "sorted", "1", "member:__rand_int__"],
        ["DEL", "key:__rand_int__"],
        ["SET", "key:__rand_int__", "y" * 150],
    ]
    range_test = ["LRANGE", "list", "0", "49"]

    def missing(self):
        return missing(self.packages)

    def prepare(self, work, quick=False):
        """All that it needs, the client makes up."""

    def run(self, library, work, quick=False):
        requests = self.quick_requests if quick else self.requests
        library = library or peers.SHIM
        port = free_port()
        argv = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", work]
        with measure.start_measured(argv, library, cwd=work) as server:
            await_server(server, lambda: self.answers(port, server.pid))
            require_mapped(server, library)
            for test in self.tests:
                self.benchmark(port, work, requests, test)
            self.benchmark(port, work, requests // 20, self.range_test)
            with RedisClient(port) as client:
                extra = self.check(client, requests, "libjemalloc" in library)
            sample = server.stop()
        sample.extra.update(extra)
        return sample

    def answers(self, port, pid):
        """Whether it is up, and ours: another process may have taken the port."""
        with RedisClient(port) as client:
            return int(client.info()["process_id"]) == pid

    def benchmark(self, port, work, requests, test):
        run_client(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "16", "-P", "32",
                    "-r", str(self.keys), "-n", str(requests), "-q", *test], work)

    def check(self, client, requests, jemalloc):
        """The data is right, and lies in the allocator that it should lie in."""
        wrong = []
        if client.ask("LLEN", "list") != requests:
            wrong.append("the list has lost entries")
        if client.ask("LINDEX", "list", requests // 2) != b"e" * 90:
            wrong.append("an entry of the list has changed")
        for number in range(self.keys):
            value = client.ask("GET", f"key:{number:012d}") if number % 60 == 0 else None
            if value and value.strip(b"x") not in (b"", b"v" * 40, b"w" * 700, b"y" * 150):
                wrong.append(f"the value of key:{number:012d} has changed")
        info = client.info()
        used, counted = int(info["used_memory"]), int(info["allocator_allocated"])
        if (counted > used / 2) != jemalloc:
            wrong.append(f"jemalloc has {counted} of {used} bytes: the preload isn't in use"
                         if not jemalloc else "jemalloc isn't in use")
        if wrong:
            raise measure.Failed("redis-server: " + "; ".join(wrong))
        return {"live": used // 1024}


class MariaDb:
    """mariadbd under sysbench's mix of reads and writes, eight threads, InnoDB.

    Its buffer pool is small, or it would be most of the memory. The data folder is made once and
    copied for each run. No service of the system's is started or asked.
    """
    name = "mariadb"
    packages = ["mariadb-server\tmariadbd\tbenchmark: a server with threads",
                "sysbench\tsysbench\tbenchmark: its client"]
    threads = 8
    events = 1_800
    quick_events = 200
    tables, rows = 4, 10_000
    # Relative to the data folder and the client's folder: a socket's path must be short.
    socket = "mariadbd.sock"

    def missing(self):
        return missing(self.packages)

    def prepare(self, work, quick=False):
        template = work / "template"
        shutil.rmtree(template, ignore_errors=True)
        user = ["--user=root"] if os.geteuid() == 0 else []
        run_client(["mariadb-install-db", "--no-defaults", *user, f"--datadir={template}",
                    "--auth-root-authentication-method=normal", "--skip-test-db",
                    "--innodb-log-file-size=16M"], work)
        with self.started("", template) as server:
            run_client(["mariadb", "--no-defaults", "--user=root", f"--socket={self.socket}", "-e",
                        "CREATE DATABASE sbtest"], template)
            self.sysbench(template, "prepare")
            server.stop()

    def run(self, library, work, quick=False):
        events = self.quick_events if quick else self.events
        data = work / "data"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(work / "template", data)
        try:
            with self.started(library, data) as server:
                require_mapped(server, library)
                said = self.sysbench(data, "run", f"--events={events}", "--time=0",
                                     f"--threads={self.threads}", "--rand-seed=7",
                                     "--db-ps-mode=disable", "--report-interval=0")
                self.check(said, events)
                return server.stop()
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def started(self, library, data):
        argv = [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults",
                f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
                "--pid-file=mariadbd.pid", "--skip-log-bin", "--performance-schema=off",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
                "--table-open-cache=64"]
        if os.geteuid() == 0:
            argv.append("--user=root")
        server = measure.start_measured(argv, library, cwd=data)
        try:
            await_server(server, lambda: self.answers(data))
        except BaseException:
            server.kill()
            raise
        return server

    def answers(self, data):
        done = subprocess.run(["mariadb-admin", "--no-defaults", "--user=root",
                               f"--socket={self.socket}", "ping"], cwd=data,
                              env=client_environment(), capture_output=True)
        return done.returncode == 0

    def sysbench(self, data, step, *more):
        return run_client(["sysbench", "oltp_read_write", "--db-driver=mysql",
                           "--mysql-user=root", f"--mysql-socket={self.socket}",
                           f"--tables={self.tables}", f"--table-size={self.rows}", *more, step],
                          data)

    def check(self, said, events):
        """sysbench did all it was to do; it would have ended with a status, had a query failed."""
        lines = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
        done = lines.get("total number of events", "none").strip()
        if done != str(events):
            raise measure.Failed(f"sysbench did {done} of {events} events")
