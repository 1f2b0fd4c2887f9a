"""Measures what tracing upcalls costs: with upspan, with upcall_cost.py, and without."""

import dataclasses
import json
from pathlib import Path

from . import bpf, report
from .measure import traced, untraced
from .switch import Load, Switch
from .tracers import Reference, Upspan


def observe(switch, kind, out):
    """Starts a tracer, puts the loads on it, and stops it."""
    tracer = kind(out)
    facts = {"seconds to start": f"{tracer.seconds_to_start:.1f}"}
    facts["CPU when idle"] = f"{tracer.idle_share():.2%}"
    measured = traced(switch, tracer)
    facts["peak memory, MB"] = f"{tracer.peak_bytes() / 1e6:.0f}"
    tracer.stop()
    facts |= tracer.summary()
    print(f"{tracer.name}: done", flush=True)
    return measured, facts


def main():
    out = Path("/job/out")
    bpf.enable_statistics()
    switch = Switch()
    # What is slow the first time is not measured.
    switch.offer(Load("warm-up", 1_000, None))

    before = untraced(switch, "none")
    ours, our_facts = observe(switch, Upspan, out)
    theirs, their_facts = observe(switch, Reference, out)
    after = untraced(switch, "none, at the end")

    measured = [*before, *ours, *theirs, *after]
    print(f"\n{report.loads(measured)}\n")
    for mine, reference in zip(ours, theirs, strict=True):
        print(report.programs([mine, reference]).replace("BPF", f"{mine.load.name}: BPF", 1), "\n")
    facts = dict.fromkeys([*our_facts, *their_facts])
    rows = [[fact, our_facts.get(fact, ""), their_facts.get(fact, "")] for fact in facts]
    print(report.table(["", ours[0].tracer, theirs[0].tracer], rows), "\n")
    for mine, reference in zip(ours, theirs, strict=True):
        ratio = mine.bpf_us / reference.bpf_us
        print(f"{mine.load.name}: BPF run time of an upcall is {ratio:.2f} of the reference's")
    results = {
        "measured": [dataclasses.asdict(one) for one in measured],
        "facts": {ours[0].tracer: our_facts, theirs[0].tracer: their_facts},
    }
    (out / "bench.json").write_text(json.dumps(results, indent=2))


main()
