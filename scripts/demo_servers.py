"""Starting, watching and stopping the demonstration's processes.

Keeper owns every process the demonstration starts and the temporary folder they live in. Whatever
happens, nothing outlives the demonstration: a process started here is killed by Keeper.close(),
and by the kernel itself (the parent-death signal) should the demonstration be killed outright.

A server runs in a session of its own, so that Ctrl-C on the terminal reaches the demonstration
alone, which then stops the servers in its own order. Figures of a server come from /proc.
"""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
DROP_IN = "libacre-malloc.so"
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something that had to happen did not; the text is the line the user sees."""


def clean_environment():
    """The caller's environment without what would choose or tune an allocator behind our back."""
    drop = ("ACRE", "LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
    kept["LC_ALL"] = "C"
    return kept


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def available_memory():
    """Bytes that may still be used: of the machine, and of each control group we are in."""
    with open("/proc/meminfo") as f:
        room = next(int(line.split()[1]) << 10 for line in f if line.startswith("MemAvailable:"))
    with open("/proc/self/cgroup") as f:
        group = next((line[3:].strip() for line in f if line.startswith("0::")), None)
    while group:
        folder = "/sys/fs/cgroup" + group
        try:
            with open(folder + "/memory.max") as f:
                limit = f.read().strip()
            with open(folder + "/memory.current") as f:
                used = int(f.read())
            if limit != "max":
                room = min(room, max(0, int(limit) - used))
        except OSError:
            pass
        group = os.path.dirname(group) if group != "/" else None
    return room


@contextlib.contextmanager
def held_signals():
    """No signal handler runs meanwhile: what is begun inside is on record before one does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent(parent, signals):
    """Runs in a new child, before exec."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Keeper:
    """Owns the temporary folder and all children."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="acre-demo.")
        self.children = []

    def spawn(self, command, **how):
        parent = os.getpid()
        with held_signals() as before:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self.folder,
                                     env=clean_environment(), start_new_session=True,
                                     preexec_fn=lambda: die_with_parent(parent, before), **how)
            self.children.append(child)
        return child

    def run(self, command, seconds):
        """A short command's output; it has to end with status 0 in time."""
        child = self.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           errors="replace")
        try:
            output, complaint = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"'{' '.join(command)}' did not end within {seconds} s") from None
        self.children.remove(child)
        if child.returncode != 0:
            last = ((complaint or output).strip().splitlines() or ["(no output)"])[-1]
            raise Failure(f"'{' '.join(command)}' ended with status {child.returncode}: {last}")
        return output

    def close(self):
        with held_signals():
            for child in self.children:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
            self.children.clear()
            shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """One server process, from its start until stop().

    command(port) gives its command line. ask_pid(port) connects and returns the process id the
    server states, or raises OSError while it is not up: so a stranger that took the port in
    between is never taken for ours.
    """

    def __init__(self, keeper, name, prefix, command, ask_pid):
        self.keeper = keeper
        self.name = name
        self.on_acre = bool(prefix)
        for attempt in range(3):
            self.port = free_port()
            self.log = os.path.join(keeper.folder, f"{name}.{self.port}.log")
            with open(self.log, "wb") as log:
                self.child = keeper.spawn(prefix + command(self.port), stdout=log, stderr=log)
            if self._await(ask_pid, last=attempt == 2):
                break
            keeper.children.remove(self.child)
        mapped = self._proc("maps")
        if (DROP_IN in mapped) != self.on_acre:
            raise Failure(f"{name} {'does not run' if self.on_acre else 'runs'} on {DROP_IN}: "
                          f"it is {'not ' if self.on_acre else ''}in its /proc/PID/maps")
        self.allocator = ("acre" if self.on_acre else
                          next((a for a in ("jemalloc", "tcmalloc", "mimalloc")
                                if f"lib{a}" in mapped), "glibc"))

    def _await(self, ask_pid, last):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                self.pid = ask_pid(self.port)
                if os.getsid(self.pid) == self.child.pid:
                    return True
            except OSError:
                pass
            if self.child.poll() is not None:
                if not last:
                    return False
                self._fail("ended at its start")
            time.sleep(0.02)
        self._fail("does not answer, 15 s after its start")

    def _fail(self, what):
        status = self.child.poll()
        if status is not None:
            what += f" (killed by {signal.Signals(-status).name})" if status < 0 else \
                    f" (status {status})"
        lines = [line for line in self.output().splitlines() if line.strip()]
        lines = [line for line in lines[:-6] if line.startswith("acre: ")] + lines[-6:]
        side = "acre" if self.on_acre else "its shipped allocator"
        raise Failure("\n    ".join([f"{self.name} on {side} {what}; its last lines:"] +
                                    (lines or ["(none)"])))

    def _proc(self, what):
        try:
            with open(f"/proc/{self.pid}/{what}", errors="replace") as f:
                return f.read()
        except OSError:
            self._fail("is gone")

    def _status_kib(self, key):
        return next(int(line.split()[1]) for line in self._proc("status").splitlines()
                    if line.startswith(key + ":"))

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def cpu_seconds(self):
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self):
        return self._status_kib("VmHWM") << 10

    def anonymous_bytes(self):
        return self._status_kib("RssAnon") << 10

    def require_alive(self):
        if self.child.poll() is not None:
            self._fail("died")

    @contextlib.contextmanager
    def blamed(self):
        """If what is done inside fails and the server died or complained, that is to be told."""
        try:
            yield
        except (Failure, OSError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(1)
            self.require_alive()
            complaints = [line for line in self.output().splitlines() if line.startswith("acre: ")]
            raise Failure("; ".join([str(error)] + complaints[-1:])) from None

    def stop(self):
        """Ends the server in order. Returns what --stats left on stderr, by name."""
        self.require_alive()
        os.kill(self.pid, signal.SIGTERM)
        try:
            status = self.child.wait(20)
        except subprocess.TimeoutExpired:
            self._fail("does not end, 20 s after SIGTERM")
        if status != 0:
            self._fail("did not end cleanly")
        self.keeper.children.remove(self.child)
        # A block of lines for each process that ended, each with the process first.
        figures, ours = {}, False
        for name, number in re.findall(r"^acre: ([a-z ]+?) +(\d+)$", self.output(), re.MULTILINE):
            if name == "process":
                ours = int(number) == self.pid
            elif ours:
                figures[name] = int(number)
        if self.on_acre and not {"arena bytes", "refusals"} <= figures.keys():
            self._fail("left no arena statistics at its exit")
        return figures
