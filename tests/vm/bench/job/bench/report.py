"""What was measured, for people."""


def table(head, rows):
    """A table in Markdown: the first column to the left, the others to the right."""
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

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


def loads(measured):
    head = ["Load, tracer", "upcalls", "upcalls/s", "events lost", "BPF µs/upcall", "CPU ms/1,000"]
    rows = []
    for one in sorted(measured, key=lambda one: [m.load for m in measured].index(one.load)):
        row = [f"{one.load.name}, {one.tracer}", f"{one.outcome.upcalls:,}", f"{one.per_second:,.0f}"]
        if one.runs:
            lost = f"{one.lost:,} ({one.lost_share:.1%})" if one.lost else "0"
            row += [lost, f"{one.bpf_us:.1f}", f"{one.cpu_ms:.0f}"]
        else:
            row += ["", "", ""]
        rows.append(row)
    return table(head, rows)


def programs(columns):
    """BPF run time by program; a column for each tracer."""
    names = list(dict.fromkeys(name for one in columns for name in one.runs))
    rows = [
        [name, *(f"{one.runs[name].us_each:.1f}" if name in one.runs else "" for one in columns)]
        for name in names
    ]
    rows.append(["an upcall", *(f"{one.bpf_us:.1f}" for one in columns)])
    return table(["BPF µs/run", *(one.tracer for one in columns)], rows)
