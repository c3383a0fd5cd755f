"""What the programs that measure have in common: taking turns, the table, the document, the loop over
what there is to measure."""

import collections
import os
import pathlib
import platform
import re
import statistics
import subprocess

from lab import MIB, ROOT, Failure, Lab, run

DOCUMENT = ROOT / "docs/benchmarks.md"

Row = collections.namedtuple("Row", "what figure other other_figure ratio expected")


def speed_text(value):
    return f"{value:.2f} GB/s"


def take_turns(rounds, sides):
    """Runs every side once a round; each side's figures. Each leaves the machine in another state, so the
    orders are such that, over as many rounds as there are sides, each comes after each other one as often
    as the next (a Latin square of Williams, 1949; nearly so for an odd number of sides)."""
    figures = {name: [] for name in sides}
    names = list(sides)
    steps = [(i + 1) // 2 if i % 2 else -(i // 2) for i in range(len(names))]
    for number in range(rounds):
        for name in (names[(number + step) % len(names)] for step in steps):
            os.sync()  # what a side before has written must not slow this one
            figures[name].append(sides[name]())
    print_figures(figures)
    return figures


def print_figures(figures):
    for name, values in figures.items():
        print(f"    {name}: " + " ".join(f"{value:.4g}" for value in values), flush=True)


def compare(what, figures, expected, text):
    """Rows of the first side against each other one. The ratio is the median of the rounds' ratios: what
    else the machine does changes from round to round and hits the sides of one round alike."""
    ours, *others = figures
    rows = []
    for other in others:
        ratio = statistics.median(a / b for a, b in zip(figures[ours], figures[other]))
        rows.append(Row(what, text(statistics.median(figures[ours])), other,
                        text(statistics.median(figures[other])), f"{ratio:.2f}",
                        expected.get(other, "")))
    return rows


def make_file(path, mib):
    """Bytes that nothing can compress, in the page cache and on the disk."""
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "little") + block[8:])
        file.flush()
        os.fsync(file.fileno())


def machine_line(folder):
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    processor = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(),
                          re.MULTILINE)
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    file_system = run("stat", "-f", "-c", "%T", folder).strip()
    return (f"{os.cpu_count()} cores ({processor[1] if processor else platform.machine()}), "
            f"{memory / MIB:.0f} GiB of memory, Linux {platform.release()}, TCP {congestion}, "
            f"files on {file_system}, "
            f"load average {os.getloadavg()[0]:.0f} before the start")


def table(rows):
    lines = ["| what | ours | against | its figure | ratio | expected |",
             "| --- | --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def write_document(rows, mark, order, notes):
    """Puts the rows between the document's two marks, in the order of their first words, and the notes
    under them. Rows that were not measured stay."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    before, rest = text.split(begin)
    old, after = rest.split(end)
    measured = {(row.what, row.other) for row in rows}
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in old.splitlines()
             if line.startswith("| ") and not line.startswith(("| what", "| ---"))]
    kept = [Row(*row) for row in cells if (row[0], row[2]) not in measured]
    everything = sorted(rows + kept, key=lambda row: order.index(re.match(r"\w+", row.what)[0]))
    DOCUMENT.write_text(f"{before}{begin}{table(everything)}\n\n{notes}\n{end}{after}")


def add_arguments(parser, measures, rounds):
    parser.add_argument("--only", action="append", choices=measures, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--folder", help="where files are written (default: the temporary folder)")
    parser.add_argument("--build", type=pathlib.Path, help="programs that are built already")
    parser.add_argument("--write", action="store_true")


def prepare(options):
    """Installs and builds what is missing; the build's folder."""
    subprocess.run([ROOT / "docker/install-packages", "bench"], check=True)
    if options.build:
        return options.build.resolve()
    for step in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
        subprocess.run(step, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build/release"


def measure(measures, build, folder, options, mark):
    """Everything that was asked for, and the table of it; the program's exit status."""
    rows, failures = [], 0
    machine = machine_line(folder)
    print(machine)
    for name in options.only or measures:
        print(f"  {name}", flush=True)
        try:
            place = pathlib.Path(folder) / name
            place.mkdir()
            with Lab(build, place) as lab:
                rows += measures[name](lab, options)
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            print(f"    no figures: {failure}", flush=True)
            failures += 1
    print("\n" + table(rows))
    if options.write and rows:
        write_document(rows, mark, list(measures), f"{machine}. Medians of {options.rounds} rounds.")
    return 1 if failures else 0
