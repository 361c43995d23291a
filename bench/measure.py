"""Runs a program under an allocator and tells what it used.

CPU seconds, wall time and peak memory come from the small program bench/launch, which starts the
program and waits for it: a comment there says why it isn't Python that does so.
"""
import dataclasses
import os
import pathlib
import signal
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
DEVNULL = subprocess.DEVNULL
PIPE = subprocess.PIPE


class Failed(Exception):
    """A program did not end as it should; one line says how."""


@dataclasses.dataclass
class Sample:
    """What one run used, the children that it waited for included."""
    cpu: float      # seconds, user and system
    wall: float     # seconds
    peak: int       # KiB, the largest VmHWM among the processes
    extra: dict = dataclasses.field(default_factory=dict)


def kill_group(leader):
    """Ends a process that was started in a session of its own, and what it has started there."""
    try:
        os.killpg(leader.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    leader.wait()


class Measured:
    """A program that runs. Leaving it as a context manager ends it, if stop() hasn't."""

    def __init__(self, argv, library, *, env=None, stdin=None, cwd=None, stdout=DEVNULL):
        self.name = os.path.basename(str(argv[0]))
        # Files rather than pipes: a program that writes much never waits for us.
        self.errors = tempfile.TemporaryFile()
        self.output = tempfile.TemporaryFile() if stdout == PIPE else None
        self.pid = None
        reader, writer = os.pipe()
        self.results = open(reader)
        try:
            self.launcher = subprocess.Popen(
                [launcher(), str(writer), str(library)] + [str(word) for word in argv],
                env=env, cwd=cwd, stdin=DEVNULL if stdin is None else stdin,
                stdout=self.output or stdout, stderr=self.errors,
                pass_fds=[writer], start_new_session=True)
        finally:
            os.close(writer)
        try:
            self.pid = int(self.results.readline())
        except ValueError:
            self.kill()
            raise Failed(f"{self.name} could not be started: {self.complaint()}") from None
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.launcher.poll() is None:
            self.kill()

    def kill(self):
        """Ends the program, and all that it started in its session, without asking."""
        if self.pid and self.running():
            # The launcher waits for its very end. Until then it has its port and its files.
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitid(os.P_PID, self.launcher.pid, os.WEXITED | os.WNOWAIT)
            except ProcessLookupError:
                pass
        kill_group(self.launcher)

    def complaint(self):
        """The last line of the program's stderr."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def running(self):
        return self.launcher.poll() is None

    def wait(self, timeout=300, fine=()):
        """Waits for the end. A status other than 0 is Failed, and a signal that isn't in fine."""
        try:
            self.launcher.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not end within {timeout} s") from None
        except BaseException:
            self.kill()
            raise
        words = self.results.readline().split()
        self.results.close()
        if len(words) != 5:
            raise Failed(f"{self.name} was lost: {self.complaint()}")
        status, user, system, wall, peak = map(int, words)
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and -code not in fine and code - 128 not in fine:
            how = f"signal {-code}" if code < 0 else f"status {code}"
            raise Failed(f"{self.name} ended with {how}: {self.complaint()}")
        sample = Sample((user + system) / 1e6, wall / 1e6, peak)
        if self.output:
            self.output.seek(0)
            sample.extra["output"] = self.output.read().decode(errors="replace")
            self.output.close()
        return sample

    def stop(self, how=signal.SIGTERM, timeout=60):
        """Sends the signal, waits, and returns the Sample; Failed if it had ended by itself."""
        if not self.running():
            self.wait()
            raise Failed(f"{self.name} ended before it was asked to: {self.complaint()}")
        os.kill(self.pid, how)
        return self.wait(timeout, fine=(how,))


def launcher():
    path = BUILD / "bench" / "launch"
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} isn't there: make -C {BUILD} bench-programs, or set BUILD")
    return str(path)


def start_measured(argv, library, *, env=None, stdin=None, cwd=None, stdout=DEVNULL):
    """Starts a server under LD_PRELOAD=library ('' = none); its stop() gives the Sample."""
    return Measured(argv, library, env=env, stdin=stdin, cwd=cwd, stdout=stdout)


def run_measured(argv, library, *, env=None, stdin=None, cwd=None, stdout=DEVNULL, timeout=300):
    """Runs argv under LD_PRELOAD=library ('' = none) to its end.

    With stdout=PIPE, extra["output"] holds what it wrote there.
    """
    with Measured(argv, library, env=env, stdin=stdin, cwd=cwd, stdout=stdout) as program:
        return program.wait(timeout)
