#!/usr/bin/env python3
"""Counts the instructions that the relay's parts take, with valgrind, and holds them to those in instructions.json.

  instructions.py           fails where a part takes notably more than is on record
  instructions.py --update  puts what it counts on record

The thresholds of the benchmark package would do, but its instructions come from the processor's counters, which virtual
machines seldom have. Valgrind's are those of the program and its libraries, without the kernel and without waiting: the same on a
busy machine and, with the same compiler and libraries, nearly the same on another. What making ready takes is not in them: each
workload is counted with few repetitions and with many, and the difference is what they took.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "instructions.json"
TOLERANCE = 0.03


def count(program, name, repetitions, environment):
    run = subprocess.run(
        ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", program, name, str(repetitions)],
        capture_output=True, text=True, env=environment)
    found = re.search(r"I\s+refs:\s+([\d,]+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{name}: status {run.returncode}\n{run.stderr}")
    return int(found[1].replace(",", ""))


def count_all(program):
    """Yields each workload's name and the instructions of one repetition."""
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(dir=HERE / ".build") as directory:
        # Hashing with random seeds would make each run another.
        environment = {**os.environ, "TMPDIR": directory, "SWIFT_DETERMINISTIC_HASHING": "1"}
        for line in listed.splitlines():
            repetitions, name = line.split(" ", 1)
            repetitions = int(repetitions)
            few, many = (count(program, name, times * repetitions, environment) for times in (1, 3))
            yield name, round((many - few) / (2 * repetitions))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="put what is counted on record")
    parser.add_argument("--program", type=Path, default=HERE / ".build/release/once", help="the built program (%(default)s)")
    options = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    counted, exceeded = {}, []
    for name, instructions in count_all(options.program):
        counted[name] = instructions
        change = instructions / record[name] - 1 if name in record else None
        if change is None or change > TOLERANCE:
            exceeded.append(name)
        print(f"{name:55} {instructions:12,}  {'not on record' if change is None else f'{change:+.1%}'}", flush=True)
    if options.update:
        RECORD.write_text(json.dumps(counted, indent=2) + "\n")
    elif exceeded:
        sys.exit(f"Not on record, or over it by more than {TOLERANCE:.0%}: {'; '.join(exceeded)}.\n"
                 "Correct that; or, if it is worth it, put it on record: make bench-instructions BENCH=--update")


if __name__ == "__main__":
    main()
