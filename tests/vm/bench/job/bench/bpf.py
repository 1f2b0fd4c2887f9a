"""What the kernel and bpftool say of BPF programs and maps."""

import json
from dataclasses import dataclass
from pathlib import Path

from .switch import run


def enable_statistics():
    Path("/proc/sys/kernel/bpf_stats_enabled").write_text("1")


def _show(kind):
    # bpftool prints nothing at all if there are none.
    return json.loads(run("bpftool", "-j", kind, "show") or "[]")


def ids(kind):
    return {item["id"] for item in _show(kind)}


@dataclass(frozen=True)
class Runs:
    ns: int = 0
    count: int = 0

    def __add__(self, other):
        return Runs(self.ns + other.ns, self.count + other.count)

    def __sub__(self, other):
        return Runs(self.ns - other.ns, self.count - other.count)

    @property
    def us_each(self):
        return self.ns / self.count / 1000 if self.count else 0.0


class Programs:
    """The programs and maps that came after a moment."""

    def __init__(self):
        self._before = {kind: ids(kind) for kind in ("prog", "map")}

    def _new(self, kind):
        return [item for item in _show(kind) if item["id"] not in self._before[kind]]

    def runs(self):
        """How often and how long each one ran, by name."""
        runs = {}
        for program in self._new("prog"):
            name = program.get("name", str(program["id"]))
            more = Runs(program.get("run_time_ns", 0), program.get("run_cnt", 0))
            runs[name] = runs.get(name, Runs()) + more
        return runs

    def map_total(self, name):
        """The sum of an array of 64-bit numbers, or of one of them for each CPU."""
        found = [item["id"] for item in self._new("map") if item.get("name") == name]
        if not found:
            raise RuntimeError(f"there is no map {name}")
        entries = json.loads(run("bpftool", "-j", "map", "dump", "id", str(found[0])))
        return sum(_number(value) for entry in entries for value in _values(entry))


def _values(entry):
    each_cpu = entry.get("values")
    return [entry["value"]] if each_cpu is None else [cpu["value"] for cpu in each_cpu]


def _number(value):
    return int.from_bytes(bytes(int(byte, 16) for byte in value), "little")
