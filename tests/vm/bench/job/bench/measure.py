"""One load under one tracer, or under none."""

from dataclasses import dataclass, field

from .bpf import Runs
from .switch import Load, Outcome

# Each upcall of the load makes one of each.
EVENTS = ("dp_upcall", "recv_upcall", "op_flow_put", "op_flow_execute", "ovs_pkt_exec")

LOADS = (
    Load("300/s", 1_500, 300),
    Load("1,000/s", 4_000, 1_000),
    # As much as the ring holds of the reference's events.
    Load("burst", 1_500, None, times=5),
    Load("flood", 8_000, None),
)


@dataclass(frozen=True)
class Measured:
    tracer: str
    load: Load
    outcome: Outcome
    # By event, or by program where it is for none of them.
    runs: dict[str, Runs] = field(default_factory=dict)
    lost: int = 0
    cpu_seconds: float = 0.0

    @property
    def per_second(self):
        return self.outcome.upcalls / self.outcome.seconds

    @property
    def bpf_us(self):
        """BPF run time of an upcall."""
        return sum(runs.ns for runs in self.runs.values()) / self.outcome.upcalls / 1000

    @property
    def events(self):
        return len(EVENTS) * self.outcome.upcalls + self.outcome.dropped

    @property
    def cpu_ms(self):
        """The tracer's CPU time for 1,000 upcalls."""
        return self.cpu_seconds * 1e6 / self.outcome.upcalls


def untraced(switch):
    return [Measured("no tracer", load, switch.offer(load)) for load in _all_loads()]


def traced(switch, tracer):
    return [_traced(switch, tracer, load) for load in _all_loads()]


def _all_loads():
    return (load for load in LOADS for _ in range(load.times))


def _traced(switch, tracer, load):
    runs, lost, cpu = tracer.programs.runs(), tracer.lost(), tracer.cpu_seconds()
    outcome = switch.offer(load)
    tracer.settle()
    after = tracer.programs.runs()
    return Measured(
        tracer.name,
        load,
        outcome,
        {_event(name): after[name] - runs.get(name, Runs()) for name in after},
        tracer.lost() - lost,
        tracer.cpu_seconds() - cpu,
    )


def _event(program):
    if "return" in program:
        return program
    if "packet_cmd_execute" in program:
        return "ovs_pkt_exec"
    return next((event for event in EVENTS if event in program), program)
