#!/usr/bin/env python3
"""Measures how the relay accepts mail, compared with Postfix on the same machine. The servers run in turn.

  bench.py                        all works, 3 rounds
  bench.py --work b,f --rounds 1  some of them
  bench.py --list                 only lists the works

Each run starts a server with an empty queue (or the queue that the work needs), warms it up and puts the load on it. Then
it checks that the server has exactly the messages that it reported as accepted to the client, and stops it. The table shows
the median, the least and the greatest value of the rounds. The JSON file has every run.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import delivering
import events
import http_load
import preload
from servers import Floor, Postfix, Relay, Server, ServerError, SQLiteFloor, Storeless, make_tools

ROOT = Path(__file__).resolve().parent.parent

# How many seconds a work over HTTP takes.
HTTP_SECONDS = 8

# After many files were deleted, ext4 creates files slowly for some minutes. This delays a server that creates a file
# for each message.
SECONDS_AFTER_DELETING = 360


@dataclass
class Load:
    sessions: int
    per_session: int
    messages: int
    size: int = 4096


@dataclass
class Work:
    title: str
    load: Load
    servers: tuple = ("relay", "postfix", "floor", "floor-sqlite", "storeless")
    sync_delay: int = 0  # microseconds
    queue: int = 0  # messages that wait before the work begins
    # The latencies that say most about the work.
    latencies: tuple = ("ready_ms", "message_ms")
    # The number of emails in a request over HTTP; 0 if the work uses SMTP.
    batch: int = 0


B = Load(sessions=20, per_session=100, messages=20_000)

WORKS = {
    "a100": Work("1 message a connection, 4 KB, 100 sessions", Load(100, 1, 6_000)),
    "b": Work("100 messages a connection, 4 KB, 20 sessions", B),
    "c": Work("100 messages a connection, 100 KB, 20 sessions", Load(20, 100, 4_000, 102_400)),
    "d": Work("20 messages a connection, 10 MB, 4 sessions", Load(4, 20, 80, 10 << 20)),
    "f": Work("1 message a connection, 4 KB, 1 session: an idle server", Load(1, 1, 500),
              latencies=("ready_ms", "message_ms", "visit_ms")),
    "h": Work("over HTTPS: requests one after the other, 4 KB, 20 connections", B, servers=("relay",),
              latencies=("message_ms",), batch=1),
    "hb": Work("as h, 100 emails in a request", B, servers=("relay",), latencies=("message_ms",), batch=100),
    "ht": Work("as hb, the same emails made of a template and beside it with their bodies given", B,
               servers=("relay-templated", "relay"), latencies=("message_ms",), batch=100),
    "slow-disk": Work("as b, each flush of the disk 2 ms slower", B, sync_delay=2000),
    "draining": Work("as b, a test key: sent (simulated) while accepted, until the queue is empty", B,
                     servers=("relay-draining", "relay")),
    "quiet": Work("as b, log.level warning: no line a message", B, servers=("relay-quiet", "relay")),
    "backlog": Work("as b, 1,000,000 messages waiting in the queue", B, servers=("relay-backlog", "relay")),
}

SPECIAL = {
    "idle": "1,000 authenticated TLS connections that do nothing: memory",
    "keys": "`keys list` with 100,000 keys: time and memory of the command",
    "drain": "10,000 messages of 4 KB sent to a stand-in for SES that answers after 5 ms",
    "drain-backlog": "sending with 1,000,000 messages in the queue: memory",
    "events": "1,000 events a second from SES, beside mail that is accepted as in b, and as many as it takes alone",
    "large": "twenty messages of 25 MB under way to SES at once: memory",
}
DELIVERING = ["drain", "drain-backlog", "large"]
# If the processor has instructions for SHA, these works are measured a second time without these instructions.
WITH_SHA_HIDDEN = ["a100", "b", "c", "d", "drain"]

SERVERS = {
    "relay": "",
    "postfix": "",
    "floor": "only receives octets and syncs them to the disk",
    "floor-sqlite": "like floor, but with the relay's tables in SQLite instead of a file",
    "storeless": "the relay without store, worker and log: it discards all mail (make bench-storeless builds it)",
}
USUAL_SERVERS = ["relay", "postfix", "floor"]


class Bench:
    def __init__(self, options):
        self.options = options
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        self.directory = options.directory / f"run-{stamp}"
        self.tools = options.directory / "tools"
        self.count = 0
        self.runs = []

    # -- servers

    def make(self, name, work):
        self.count += 1
        directory = self.directory / f"{self.count:03}-{name}"
        delay = work.sync_delay or self.options.sync_delay
        if name == "postfix":
            return Postfix(name, directory, self.tools, delay)
        if name == "floor":
            return Floor(name, directory, self.tools, delay)
        if name == "floor-sqlite":
            return SQLiteFloor(name, directory, self.tools, delay, self.options.binary)
        if name == "storeless":
            return Storeless(name, directory, self.tools, delay)
        variant = name.removeprefix("relay").removeprefix("-")
        return Relay(
            name, directory, self.tools, delay, self.options.binary, live=variant != "draining",
            log_level="warning" if variant == "quiet" else self.options.log_level,
            database=self.backlog() if variant == "backlog" else None)

    def backlog(self):
        """A database with a long queue, made once."""
        path = self.directory / "backlog.db"
        if not path.exists():
            maker = Relay("backlog", self.directory / "backlog", self.tools, 0, self.options.binary)
            print(f"making a queue of {self.options.backlog:,} messages", file=sys.stderr)
            preload.fill_queue(maker.database, self.options.backlog)
            os.rename(maker.database, path)
        return path

    def generate(self, server, load, **more):
        words = dict(port=server.port, user=server.user, sessions=load.sessions, messages=load.messages,
                     per_session=load.per_session, size=load.size, timeout=600, **more)
        command = [str(self.tools / "smtp-load")]
        for name, value in words.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "SMTP_LOAD_PASSWORD": server.password})

    def warm_up(self, server, load):
        warm = Load(load.sessions, 1, max(2 * load.sessions, 20))
        process = self.generate(server, warm)
        report = json.loads(process.communicate()[0])
        if report["accepted"] != warm.messages:
            raise ServerError(f"{server.name} does not accept messages: {report['first_failure']}")
        server.finish()
        return warm.messages

    # -- runs

    @contextlib.contextmanager
    def profile(self, server, work_name):
        """With --perf, records where the relay's CPU time goes."""
        if not self.options.perf or not isinstance(server, Relay):
            yield
            return
        target = self.options.directory / f"perf-{work_name}-{server.name}.data"
        recorder = subprocess.Popen(
            ["perf", "record", "--quiet", "--freq", "997", "--event", "cpu-clock", "--call-graph", "fp",
             "--pid", str(server.process.pid), "--output", str(target)], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            yield
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        print(f"perf report --no-children --input {target}", file=sys.stderr)

    def run(self, name, work_name, work):
        load = Load(**vars(work.load))
        # The number of connections is whole, so that a scaled run has the same mix of set-up and messages.
        unit = load.per_session * load.sessions if load.per_session > 1 else load.sessions
        load.messages = max(unit, round(load.messages * self.options.scale / unit) * unit)
        settle()
        server = self.make(name, work)
        try:
            start_seconds = server.start()
            warmed = self.warm_up(server, load)
            busy, cpu = machine_busy(), server.cpu_seconds()
            begun = time.monotonic()
            with self.profile(server, work_name):
                if work.batch:
                    report = http_load.run(
                        server, server.directory, load.sessions, HTTP_SECONDS * self.options.scale, work.batch, load.size,
                        templated=name == "relay-templated" if "relay-templated" in work.servers else None)
                else:
                    report = json.loads(self.generate(server, load).communicate()[0])
                server.finish()
            elapsed = time.monotonic() - begun
            cpu, busy = server.cpu_seconds() - cpu, machine_busy() - busy
        finally:
            server.stop()
        taken = server.taken() - warmed
        accepted = report["accepted"]
        report |= {
            "work": work_name, "server": name, "start_seconds": start_seconds, "taken": taken,
            "sync_delay_us": server.sync_delay, "messages_per_second": accepted / report["seconds"],
            "server_cpu_ms_per_message": 1000 * cpu / max(accepted, 1),
            "client_cpu_ms_per_message": 1000 * report["client_cpu_seconds"] / max(accepted, 1),
            "seconds_until_finished": elapsed,
            "other_cpu_share": max(0, busy - cpu - report["client_cpu_seconds"]) / elapsed / os.cpu_count(),
            "complete": accepted == load.messages and taken == accepted,
        }
        if work.batch:
            report["complete"] = not report["first_failure"] and 0 <= taken - accepted <= report["under_way"]
        return report

    def run_idle(self, name):
        count = self.options.idle
        load = Load(20, 1, 20)
        server = self.make(name, Work("", load))
        try:
            server.start()
            self.warm_up(server, load)
            time.sleep(1)
            before, cpu = server.pss_kib(), server.cpu_seconds()
            process = self.generate(server, load, idle=count)
            first = process.stdout.readline()
            if '"idle"' not in first:
                raise ServerError(f"{name}: {first or 'the load generator failed'}")
            cpu = server.cpu_seconds() - cpu
            time.sleep(2)
            after = server.pss_kib()
            report = json.loads(process.communicate()[0])
        finally:
            server.stop()
        return report | {
            "work": "idle", "server": name, "connections_held": count, "pss_kib_before": before, "pss_kib_after": after,
            "pss_kib_per_connection": (after - before) / count, "setup_cpu_ms_per_connection": 1000 * cpu / count,
            "complete": report["alive"] == count,
        }

    def run_keys(self):
        count = self.options.keys
        path = self.directory / "keys.db"
        self.count += 1
        relay = Relay("keys", self.directory / f"{self.count:03}-keys", self.tools, 0, self.options.binary,
                      database=path if path.exists() else None)
        if not path.exists():
            preload.fill_keys(relay.database, count)
            shutil.copyfile(relay.database, path)
        runs = {}
        for form, words in [("table", []), ("json", ["--json"])]:
            lines, seconds, usage = measure_command(
                [relay.binary, "keys", "list", *words, "--config", relay.config], relay.environment())
            runs[form] = {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime,
                          "max_rss_mib": usage.ru_maxrss / 1024, "lines": lines}
        # There is one more key, which the benchmark makes in each relay, and the table has a heading.
        complete = runs["json"]["lines"] >= count and runs["table"]["lines"] > runs["json"]["lines"]
        return {"work": "keys", "server": "relay", "keys": count, "complete": complete, **runs}

    def all(self):
        for round_number in range(self.options.rounds):
            for name, hides_sha in self.options.turns:
                Server.hides_sha = hides_sha
                if name == "keys":
                    self.add(self.run_keys(), round_number)
                    continue
                if name == "events":
                    for run in events.run(self, Load(**vars(B))):
                        self.add(run, round_number)
                    continue
                if name in DELIVERING:
                    for run in delivering.run(self, name):
                        self.add(run, round_number)
                    continue
                servers = WORKS[name].servers if name in WORKS else ("relay", "postfix")
                servers = [server for server in servers if kind(server) in self.options.servers]
                # The server that comes first in one round comes second in the next.
                for server in servers if round_number % 2 == 0 else reversed(servers):
                    run = self.run_idle(server) if name == "idle" else self.run(server, name, WORKS[name])
                    self.add(run, round_number)

    def add(self, run, round_number):
        run |= {"round": round_number, "sha_hidden": Server.hides_sha}
        self.runs.append(run)
        print(progress(run), file=sys.stderr, flush=True)
        self.save()

    def document(self):
        machine = {
            "cores": os.cpu_count(), "processor": processor(), "kernel": platform.release(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1)}
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
        return {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine,
            "commit": commit.stdout.strip(), "log_level": self.options.log_level, "scale": self.options.scale,
            "runs": self.runs}

    def save(self):
        self.options.json.write_text(json.dumps(self.document(), indent=1) + "\n")


def kind(server):
    """The kind of a server. Variants of the relay, such as relay-draining, are of the kind relay."""
    return "relay" if server.startswith("relay-") else server


# -- the machine


def settle():
    """Waits until the disk has nothing to do, for at most 20 s: what one run wrote must not slow the next."""
    os.sync()
    quiet, last, end = 0, None, time.monotonic() + 20
    while quiet < 4 and time.monotonic() < end:
        time.sleep(0.25)
        # Columns of reads and writes completed, and those in flight.
        now = [line.split()[3:12:4] for line in Path("/proc/diskstats").read_text().splitlines()]
        quiet = quiet + 1 if now == last else 0
        last = now


def machine_busy():
    """The CPU seconds that the whole machine has spent, including those of the kernel."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    return sum(map(int, [user, nice, system, irq, softirq])) / os.sysconf("SC_CLK_TCK")


def processor():
    """The processor's name, its numbers if the kernel gives them, and whether it has instructions for SHA."""
    text = Path("/proc/cpuinfo").read_text()
    fields = dict(re.findall(r"^(model name|cpu family|model|stepping)\s*:\s*(.*)$", text, re.M))
    name = fields.get("model name", platform.machine())
    numbers = ", ".join(f"{key.removeprefix('cpu ')} {fields[key]}" for key in ("cpu family", "model", "stepping") if key in fields)
    instructions = f"SHA instructions: {'yes' if has_sha() else 'no'}"
    return f"{name} ({numbers}; {instructions})" if numbers else f"{name} ({instructions})"


def has_sha():
    """Whether the processor has instructions for SHA, on x86 and on ARM."""
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return bool(flags and {"sha_ni", "sha2"} & set(flags[1].split()))


def is_in_memory(path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True).stdout.strip()
    return kind in ("tmpfs", "ramfs")


def measure_command(command, environment):
    """Runs a command. Returns the number of lines in its output, the seconds, and its resource usage."""
    begun = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, env=environment)
    lines = sum(chunk.count(b"\n") for chunk in iter(lambda: process.stdout.read(1 << 20), b""))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ServerError(f"{command}: exit status {process.returncode}")
    return lines, time.monotonic() - begun, usage


# -- the table


def progress(run):
    text = f"{run['work']:10} {run['server']:15}" + (" SHA hidden" if run["sha_hidden"] else "")
    if run["work"] in DELIVERING or run["work"] == "events":
        text += "".join(f"  {name} {number(value)}" for name, value in run.items()
                        if name not in ("work", "server", "round", "complete", "sha_hidden"))
    elif "messages_per_second" in run:
        text += (f" {run['messages_per_second']:8.1f} messages/s {run['server_cpu_ms_per_message']:8.3f} ms CPU a message,"
                 f" others use {100 * run['other_cpu_share']:.0f} % of the machine")
    elif run["work"] == "idle":
        text += f" {run['pss_kib_per_connection']:8.1f} KiB a connection"
    else:
        text += f" {run['table']['seconds']:8.2f} s, {run['table']['max_rss_mib']:.0f} MiB"
    if not run["complete"]:
        text += f"  INCOMPLETE: {run.get('first_failure') or 'the server has not what it accepted'}"
    return text


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(values):
    text = number(statistics.median(values))
    return text if len(values) == 1 else f"{text} ({number(min(values))}-{number(max(values))})"


def latency(runs, name):
    parts = ["p50", "p95", "p99", "max"]
    return " / ".join(number(statistics.median(run[name][part] for run in runs)) for part in parts)


def columns(work):
    """Yields, for each column, the heading, a function that shows a server's runs, and a function for the value in a ratio."""
    if work == "idle":
        for title, key in [("PSS, KiB a connection", "pss_kib_per_connection"), ("PSS at 1,000, KiB", "pss_kib_after"),
                           ("CPU to set one up, ms", "setup_cpu_ms_per_connection")]:
            yield title, lambda runs, key=key: spread([run[key] for run in runs]), lambda run, key=key: run[key]
        return
    for title, key in [("messages/s", "messages_per_second"), ("server CPU, ms a message", "server_cpu_ms_per_message")]:
        yield title, lambda runs, key=key: spread([run[key] for run in runs]), lambda run, key=key: run[key]
    for name in WORKS[work].latencies:
        title = {"ready_ms": "ready", "message_ms": "message", "visit_ms": "connect to QUIT reply"}[name]
        yield (f"{title} p50 / p95 / p99 / max, ms", lambda runs, name=name: latency(runs, name),
               lambda run, name=name: run[name]["p50"])
    if work == "backlog":
        yield ("start, s", lambda runs: spread([run["start_seconds"] for run in runs]), lambda run: run["start_seconds"])
    yield ("others' CPU, %", lambda runs: number(100 * statistics.median(run["other_cpu_share"] for run in runs)), None)


def table(document):
    machine = document["machine"]
    lines = ["", f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}"]
    for work, hidden in dict.fromkeys((run["work"], run["sha_hidden"]) for run in document["runs"]):
        runs = [run for run in document["runs"] if (run["work"], run["sha_hidden"]) == (work, hidden)]
        title = WORKS[work].title if work in WORKS else SPECIAL[work]
        lines += ["", f"**{work}**: {title}" + (", the processor's instructions for SHA hidden" if hidden else ""), ""]
        if work == "keys":
            lines += ["| form | seconds | CPU seconds | memory, MiB |", "|---|---|---|---|"]
            for form in ["table", "json"]:
                keys = ["seconds", "cpu_seconds", "max_rss_mib"]
                lines.append(f"| {form} | " + " | ".join(spread([run[form][key] for run in runs]) for key in keys) + " |")
            continue
        if work == "events":
            lines += events.table(runs, spread)
            continue
        if work in DELIVERING:
            lines += delivering.table(work, runs, spread)
            continue
        shown = list(columns(work))
        lines += ["| server | " + " | ".join(column[0] for column in shown) + " |", "|---" * (len(shown) + 1) + "|"]
        servers = list(dict.fromkeys(run["server"] for run in sorted(runs, key=lambda run: run["round"])))
        servers.sort(key=lambda name: WORKS[work].servers.index(name) if work in WORKS else name != "relay")
        by_server = {name: [run for run in runs if run["server"] == name and run["complete"]] for name in servers}
        for name, own in by_server.items():
            cells = [show(own) for _, show, _ in shown] if own else ["no complete run"] * len(shown)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        # This row compares the cost of a message over HTTP with its cost over SMTP.
        smtp = [run for run in document["runs"]
                if run["work"] == "b" and run["server"] == "relay" and run["complete"] and run["sha_hidden"] == hidden]
        if work in WORKS and WORKS[work].batch and smtp and by_server.get("relay"):
            cells = []
            for title, _, value in shown:
                ratio = title.startswith(("messages/s", "server CPU")) and (
                    statistics.median(map(value, by_server["relay"])) / statistics.median(map(value, smtp)))
                cells.append(f"{ratio:.2f}" if ratio else "")
            lines.append("| relay, over b | " + " | ".join(cells) + " |")
        measured = [name for name in servers if by_server[name]]
        for other in measured[1:]:
            first, second = by_server[measured[0]], by_server[other]
            cells = []
            for _, _, value in shown:
                ratio = value and statistics.median(map(value, second)) and (
                    statistics.median(map(value, first)) / statistics.median(map(value, second)))
                cells.append(f"{ratio:.2f}" if ratio else "")
            lines.append(f"| {measured[0]} / {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


# -- the options


def delay(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text)
    if not match:
        raise argparse.ArgumentTypeError("a time with its unit, such as 2ms")
    return round(float(match[1]) * {"us": 1, "ms": 1000, "s": 1_000_000}[match[2]])


def names(known):
    def read(text):
        found = text.split(",")
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
        return found
    return read


def read_options():
    works = [*WORKS, *SPECIAL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=names(works), default=works, metavar="NAMES", help="the works to run, separated by commas (all)")
    parser.add_argument(
        "--servers", type=names(SERVERS), default=USUAL_SERVERS, metavar="NAMES",
        help=f"the servers to measure ({','.join(USUAL_SERVERS)}); "
        + "; ".join(f"{name}: {what}" for name, what in SERVERS.items() if what))
    parser.add_argument(
        "--sha", choices=["both", "shown", "hidden"], default="both",
        help=f"how to measure the works in which hashing matters ({','.join(WITH_SHA_HIDDEN)}): with the processor's "
        "SHA instructions shown to the servers, hidden from them (OPENSSL_ia32cap), or both ways in turn (both)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the number of messages of each work (1)")
    parser.add_argument("--sync-delay", type=delay, default=0, metavar="TIME", help="delay added to each flush: 2ms")
    parser.add_argument("--log-level", default="info", choices=["info", "warning"], help="the relay's log level (info)")
    parser.add_argument("--idle", type=int, default=1000, help="number of connections in the work 'idle' (1000)")
    parser.add_argument("--keys", type=int, default=100_000, help="number of keys in the work 'keys' (100000)")
    parser.add_argument(
        "--backlog", type=int, default=1_000_000, help="number of waiting messages in the work 'backlog' (1000000)")
    parser.add_argument("--binary", type=Path, default=ROOT / ".build/release/hiveku-relay")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / ".build/bench",
        help="the directory for all files, on a real disk (.build/bench)")
    parser.add_argument("--json", type=Path, help="the file for the results of every run (DIRECTORY/results.json)")
    parser.add_argument("--perf", action="store_true", help="record profiles of the relay in DIRECTORY (Debian: linux-perf)")
    parser.add_argument("--keep", action="store_true", help="leave queues and logs in DIRECTORY")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only print the table of an earlier JSON file")
    parser.add_argument("--list", action="store_true", help="only list the works")
    options = parser.parse_args()
    shown, hidden = options.sha != "hidden", options.sha != "shown" and has_sha()
    options.turns = []
    for name in options.work:
        both = name in WITH_SHA_HIDDEN and hidden
        options.turns += [(name, False)] * (shown or not both) + [(name, True)] * both
    options.directory = options.directory.resolve()
    options.json = options.json or options.directory / "results.json"
    return options


def main():
    options = read_options()
    if options.list:
        for name, title in {**{name: work.title for name, work in WORKS.items()}, **SPECIAL}.items():
            print(f"{name:10} {title}")
        return 0
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return 0
    if not options.binary.exists():
        sys.exit(f"{options.binary} is missing: make release")
    if "storeless" in options.servers and not Storeless.PROGRAM.exists():
        sys.exit(f"{Storeless.PROGRAM} is missing: make bench-storeless")
    if "postfix" in options.servers and (reason := Postfix.reason_against()):
        print(f"without Postfix: {reason}", file=sys.stderr)
        options.servers.remove("postfix")
    options.directory.mkdir(parents=True, exist_ok=True)
    if is_in_memory(options.directory):
        sys.exit(f"{options.directory} is in memory: a flush costs nothing there; choose another --directory")
    deleted = options.directory / "deleted"
    if "postfix" in options.servers and deleted.exists():
        rest = SECONDS_AFTER_DELETING - (time.time() - deleted.stat().st_mtime)
        if rest > 0:
            print(f"waiting {rest:.0f} s, for ext4 to be done with the files that the last run left", file=sys.stderr)
            time.sleep(rest)
    bench = Bench(options)
    bench.directory.mkdir()
    make_tools(bench.tools)
    try:
        bench.all()
    except ServerError as error:
        sys.exit(str(error))
    finally:
        # Files are deleted only now, and not between the runs.
        if not options.keep:
            shutil.rmtree(bench.directory)
            deleted.touch()
    print(table(bench.document()))
    print(f"\nEvery run: {options.json}")
    return 0 if all(run["complete"] for run in bench.runs) else 1


if __name__ == "__main__":
    sys.exit(main())
