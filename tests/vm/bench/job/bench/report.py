"""What was measured, for people: medians of all rounds, and what was lost in any of them."""

from statistics import median

from .measure import LOADS


class Results:
    def __init__(self):
        self._measured = {}
        self._facts = {}

    def add(self, measured, facts=None):
        """Adds what was measured of a tracer in a round, and what else is known of it."""
        for one in measured:
            self._measured.setdefault((one.load.name, one.tracer), []).append(one)
        for fact, value in (facts or {}).items():
            self._facts.setdefault(fact, {}).setdefault(measured[0].tracer, []).append(value)

    def all(self):
        return [one for rounds in self._measured.values() for one in rounds]

    def bpf_us(self, load, tracer):
        return median(one.bpf_us for one in self._measured[load, tracer])

    def lost(self, load, tracer):
        return sum(one.lost for one in self._measured[load, tracer])

    def loads(self):
        head = ["", "upcalls/s", "events lost", "BPF µs/upcall", "CPU ms/1,000 upcalls"]
        rows = []
        for load in LOADS:
            for (name, tracer), rounds in self._measured.items():
                if name == load.name:
                    rows.append([f"{name}, {tracer}", *_cells(rounds)])
        return _table(head, rows)

    def programs(self, tracers):
        """BPF run time by load and program, as one figure for each tracer."""
        by_load = {
            load.name: [self._measured[load.name, tracer] for tracer in tracers] for load in LOADS
        }
        names = dict.fromkeys(
            name for columns in by_load.values() for rounds in columns for name in rounds[0].runs
        )
        rows = [
            [
                name,
                *(" / ".join(_us_each(r, name) for r in columns) for columns in by_load.values()),
            ]
            for name in names
        ]
        return _table([f"BPF µs/run, {' / '.join(tracers)}", *by_load], rows)

    def facts(self, tracers):
        rows = [
            [fact, *(_number(median(values[t])) if t in values else "" for t in tracers)]
            for fact, values in self._facts.items()
        ]
        return _table(["", *tracers], rows)


def _cells(rounds):
    cells = [f"{median(one.per_second for one in rounds):,.0f}"]
    if not rounds[0].runs:
        return [*cells, "", "", ""]
    lost, events = sum(one.lost for one in rounds), sum(one.events for one in rounds)
    return [
        *cells,
        f"{lost / events:.1%}" if lost else "none",
        f"{median(one.bpf_us for one in rounds):.1f}",
        f"{median(one.cpu_ms for one in rounds):,.0f}",
    ]


def _number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _us_each(rounds, name):
    if name not in rounds[0].runs:
        return "-"
    return f"{median(one.runs[name].us_each for one in rounds):.1f}"


def _table(head, rows):
    """A table in Markdown: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row):
        padded = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join(padded) + " |"

    rule = "|".join(
        "-" * (width + 1) + ":" if column else "-" * (width + 2)
        for column, width in enumerate(widths)
    )
    return "\n".join([line(head), f"|{rule}|", *map(line, rows)])
