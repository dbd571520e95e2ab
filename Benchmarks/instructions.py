#!/usr/bin/env python3
"""Counts the CPU instructions of the relay's parts with valgrind, and compares the counts with those in instructions.json.

  instructions.py           fails if a part needs notably more instructions than the recorded count
  instructions.py --update  records the new counts

The benchmark package has thresholds too. But it takes its counts from the processor's counters, which virtual machines
seldom have. Valgrind counts the instructions of the program and its libraries, without the kernel and without waiting. The
counts are the same on a busy machine, and nearly the same on another machine with the same compiler and libraries. They do
not include the preparation: each workload runs with few repetitions and with many, and only the difference counts.
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
        # With random seeds for hashing, each run would be different.
        environment = {**os.environ, "TMPDIR": directory, "SWIFT_DETERMINISTIC_HASHING": "1"}
        for line in listed.splitlines():
            repetitions, name = line.split(" ", 1)
            repetitions = int(repetitions)
            few, many = (count(program, name, times * repetitions, environment) for times in (1, 3))
            yield name, round((many - few) / (2 * repetitions))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="record the counts as the new reference")
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
