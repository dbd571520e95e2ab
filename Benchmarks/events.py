"""The work in which the relay gets SES's events from a stand-in for SQS (sqs_standin.py), alone and while it accepts mail."""

import json
import subprocess
import sys
import time
from pathlib import Path

import preload
from servers import DEADLINE, Relay, ServerError

PREFIX = "0100019a-benchmark-"
EVENTS_A_SECOND = 1000


class Queue:
    def __init__(self, count, rate):
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "sqs_standin.py"), PREFIX, str(count), str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def report(self):
        """Ends the stand-in. Returns its report."""
        return json.loads(self.process.communicate()[0])


def settings(port):
    return f"""\
feedback:
  queue_url: "http://127.0.0.1:{port}/123456789012/events"
  endpoint: "http://127.0.0.1:{port}"
  region: us-east-1
"""


def recorded(relay):
    return relay.query("SELECT COUNT(*) FROM event")


def make(bench, name, queue, count):
    bench.count += 1
    relay = Relay(name, bench.directory / f"{bench.count:03}-{name}", bench.tools, bench.options.sync_delay,
                  bench.options.binary, log_level=bench.options.log_level,
                  more_settings=settings(queue.port) if queue else "")
    preload.fill_sent(relay.database, count, PREFIX)
    relay.queued_before = relay.queued()
    return relay


def alone(bench):
    """Measures how fast the relay records events while it does nothing else."""
    count = round(20_000 * bench.options.scale)
    queue = Queue(count, 0)
    relay = make(bench, "events", queue, count)
    try:
        relay.start()
        end = time.monotonic() + DEADLINE
        while recorded(relay) < count:
            if time.monotonic() > end:
                raise ServerError(f"only {recorded(relay)} of {count} events were recorded")
            time.sleep(0.05)
        cpu = relay.cpu_seconds()
    finally:
        if relay.process:
            relay.stop()
        report = queue.report()
    return {"work": "events", "server": "events alone", "events": count, "deleted": report["deleted"],
            "events_per_second": report["deleted"] / report["seconds"], "cpu_ms_per_event": 1000 * cpu / count,
            "complete": report["deleted"] == count}


def beside(bench, load, with_events):
    """Measures how fast the relay accepts mail while EVENTS_A_SECOND events a second come in, or none."""
    count = 60_000
    queue = Queue(count, EVENTS_A_SECOND) if with_events else None
    relay = make(bench, "events-beside" if with_events else "no-events", queue, count)
    try:
        relay.start()
        bench.warm_up(relay, load)
        before, cpu, began = recorded(relay), relay.cpu_seconds(), time.monotonic()
        report = json.loads(bench.generate(relay, load).communicate()[0])
        seconds = time.monotonic() - began
        events, cpu = recorded(relay) - before, relay.cpu_seconds() - cpu
        beside_cpu = queue.cpu_seconds() if queue else 0
    finally:
        if relay.process:
            relay.stop()
        if queue:
            queue.report()
    return {"work": "events", "server": "mail and events" if with_events else "mail alone",
            "messages_per_second": report["accepted"] / report["seconds"], "events_per_second": events / seconds,
            "cpu_ms_per_message": 1000 * cpu / report["accepted"], "stand_in_cpu_seconds": beside_cpu,
            "complete": report["accepted"] == load.messages}


def run(bench, load):
    load.messages = round(load.messages * bench.options.scale)
    return [alone(bench), beside(bench, load, False), beside(bench, load, True)]


def table(runs, spread):
    titles = {"messages_per_second": "messages/s", "events_per_second": "events/s",
              "cpu_ms_per_message": "relay's CPU a message, ms", "cpu_ms_per_event": "relay's CPU an event, ms"}
    lines = ["| | " + " | ".join(titles.values()) + " |", "|---" * (len(titles) + 1) + "|"]
    for server in dict.fromkeys(run["server"] for run in runs):
        own = [run for run in runs if run["server"] == server and run["complete"]]
        cells = [spread([run[name] for run in own]) if own and name in own[0] else "" for name in titles]
        lines.append(f"| {server} | " + " | ".join(cells) + " |")
    return lines
