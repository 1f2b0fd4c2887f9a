"""The two tracers: how they are started, seen at work, and stopped."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from .bpf import Programs

RING_PAGES = 1024
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


class Tracer:
    name: str
    # The map in which its programs count the events that found no room.
    lost_map: str

    def command(self):
        raise NotImplementedError

    def wait_until_ready(self):
        """Waits until all of its probes are in place."""
        raise NotImplementedError

    def __init__(self, out):
        self.out = out
        self.programs = Programs()
        self._log = out / f"{self.name}.log"
        started = time.monotonic()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        self.wait_until_ready()
        self.seconds_to_start = time.monotonic() - started

    def log(self):
        return self._log.read_text(errors="replace")

    def _wait_for(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.log()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not get as far as {pattern!r}:\n{self.log()}")
            time.sleep(0.2)

    def lost(self):
        return self.programs.map_total(self.lost_map)

    def cpu_seconds(self):
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        # After the name, which is in brackets and may hold anything.
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS

    def settle(self):
        """Waits until it has worked off what it captured."""
        before = self.cpu_seconds()
        while True:
            time.sleep(3)
            now = self.cpu_seconds()
            if now - before <= 0.15:
                return
            before = now

    def idle_share(self, seconds=10):
        before = self.cpu_seconds()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / seconds

    def peak_bytes(self):
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def summary(self):
        """What it made of its events, once it is stopped."""
        raise NotImplementedError

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        self._finish()

    def _finish(self):
        self._process.wait(120)


class Upspan(Tracer):
    name = "upspan run"
    lost_map = "LOST"

    def __init__(self, out):
        address = Path("/run/upspan-ready")
        address.unlink(missing_ok=True)
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ready.bind(str(address))
        self._ready.settimeout(120)
        os.environ["NOTIFY_SOCKET"] = str(address)
        super().__init__(out)

    def wait_until_ready(self):
        try:
            self._ready.recv(100)
        except TimeoutError:
            raise RuntimeError(f"{self.name} does not get ready:\n{self.log()}") from None

    def command(self):
        # By the loader that came with its libraries, as those of the image may be older.
        return [
            "/job/lib/ld-linux-x86-64.so.2", "--library-path", "/job/lib", "/job/upspan",
            "run", f"--buffer-page-count={RING_PAGES}", f"--output={self.out}/traces.json",
        ]  # fmt: skip

    def summary(self):
        return {"complete traces": self._complete_traces()}

    def _complete_traces(self):
        complete = 0
        with (self.out / "traces.json").open() as traces:
            for line in traces:
                for resource in json.loads(line)["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        complete += sum(_is_complete(span) for span in scope["spans"])
        return complete


def _is_complete(span):
    return any(
        attribute["key"] == "ovs.upcall.complete" and attribute["value"].get("boolValue")
        for attribute in span.get("attributes", [])
    )


class Reference(Tracer):
    name = "upcall_cost.py"
    lost_map = "dropcnt"

    def wait_until_ready(self):
        # bcc compiles its programs here, under emulation.
        self._wait_for("Capturing events", 2400)

    def command(self):
        return [
            "python3", "/job/upcall_cost.py", "--quiet", f"--buffer-page-count={RING_PAGES}",
            f"--write-events={self.out}/events",
        ]  # fmt: skip

    def _finish(self):
        # It says what it missed, and then puts upcalls together, for longer than one can wait.
        self._wait_for("Analyzing results", 120)
        time.sleep(5)
        self._process.kill()
        self._process.wait(60)

    def summary(self):
        missed = sum(int(count) for count in re.findall(r"\[ *(\d+)\]$", self.log(), re.M))
        return {"missed events, in its report": missed}
