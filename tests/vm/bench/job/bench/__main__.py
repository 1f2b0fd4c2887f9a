"""Measures what tracing upcalls costs: with upspan, with upcall_cost.py, and without."""

import dataclasses
import json
from pathlib import Path

from . import bpf
from .measure import LOADS, traced, untraced
from .report import Results
from .switch import Load, Switch
from .tracers import Reference, Upspan

ROUNDS = 3


def observe(switch, kind, out):
    """Starts a tracer, puts the loads on it, and stops it."""
    tracer = kind(out)
    facts = {"seconds to start": tracer.seconds_to_start}
    facts["CPU when idle, %"] = tracer.idle_share() * 100
    measured = traced(switch, tracer)
    facts["peak memory, MB"] = tracer.peak_bytes() / 1e6
    tracer.stop()
    return measured, facts | tracer.summary()


def main():
    out = Path("/job/out")
    bpf.enable_statistics()
    switch = Switch()
    # What is slow the first time is not measured.
    switch.offer(Load("warm-up", 1_000, None))

    results = Results()
    # In turns, as the machine is not equally fast all the time.
    for number in range(1, ROUNDS + 1):
        results.add(untraced(switch))
        for tracer in (Upspan, Reference):
            results.add(*observe(switch, tracer, out))
        print(f"round {number} of {ROUNDS}: done", flush=True)

    tracers = [Upspan.name, Reference.name]
    print(f"\n{results.loads()}\n\n{results.programs(tracers)}\n\n{results.facts(tracers)}\n")
    for load in LOADS:
        # Programs that find the ring full are cheap.
        if not results.lost(load.name, Reference.name):
            ours, theirs = (results.bpf_us(load.name, tracer) for tracer in tracers)
            print(f"{load.name}: {ours / theirs:.2f} of the reference's BPF run time per upcall")
    measured = [dataclasses.asdict(one) for one in results.all()]
    (out / "bench.json").write_text(json.dumps(measured, indent=2))


main()
