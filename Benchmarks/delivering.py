"""The works in which the relay sends mail to a stand-in for SES (load/ses-standin.c) that answers after a fixed time."""

import contextlib
import json
import subprocess
import sys
import time

import preload
from servers import DEADLINE, Relay, ServerError

ANSWER_MS = 5


class StandIn:
    def __init__(self, tools, answer_ms):
        self.process = subprocess.Popen(
            [str(tools / "ses-standin"), str(answer_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def report(self):
        """Ends the stand-in. Returns its report."""
        return json.loads(self.process.communicate()[0])


@contextlib.contextmanager
def relay_and_ses(bench, name, answer_ms, concurrency, fill=None):
    """A relay that is ready to be started, and the stand-in for SES that it will send to."""
    bench.count += 1
    ses = StandIn(bench.tools, answer_ms)
    relay = Relay(name, bench.directory / f"{bench.count:03}-{name}", bench.tools, bench.options.sync_delay,
                  bench.options.binary, log_level=bench.options.log_level, ses=(ses.port, concurrency))
    if fill:
        fill(relay.database)
        relay.queued_before = relay.queued()
    try:
        yield relay, ses
    finally:
        if relay.process:
            relay.stop()
        if ses.process.poll() is None:
            ses.report()


def left(relay):
    return relay.query("SELECT EXISTS (SELECT 1 FROM delivery WHERE state IN ('queued', 'sending'))")


def watch(relay, ended, seconds):
    """Waits until `ended` returns true. Returns the most memory in MiB until then, measured several times a second."""
    most, end = 0, time.monotonic() + seconds
    while not ended():
        if time.monotonic() > end:
            raise ServerError(f"{relay.name}: not done within {seconds} s")
        most = max(most, relay.pss_kib() / 1024)
        time.sleep(0.1)
    return most


def drain(bench, concurrency):
    """Measures how close the relay comes to the highest possible rate, which is concurrency / answering time."""
    count = round(10_000 * bench.options.scale)
    with relay_and_ses(bench, "drain", ANSWER_MS, concurrency,
                       lambda path: preload.fill_queue(path, count, size=4096)) as (relay, ses):
        relay.start()
        most = watch(relay, lambda: not left(relay), DEADLINE)
        cpu = relay.cpu_seconds()
        relay.stop()
        report = ses.report()
    rate = (report["messages"] - 1) / report["seconds"]
    return {"concurrency": concurrency, "messages": report["messages"], "messages_per_second": rate,
            "share_of_possible": rate / (concurrency * 1000 / ANSWER_MS), "most_open": report["most_open"],
            "cpu_ms_per_message": 1000 * cpu / count, "pss_mib": most, "complete": report["messages"] == count}


def drain_backlog(bench, seconds=20):
    """Measures memory while a queue of a million messages is being sent."""
    with relay_and_ses(bench, "drain-backlog", ANSWER_MS, 10,
                       lambda path: preload.fill_queue(path, bench.options.backlog)) as (relay, ses):
        relay.start()
        end = time.monotonic() + seconds
        most = watch(relay, lambda: time.monotonic() > end, seconds + DEADLINE)
        relay.stop()
        report = ses.report()
    return {"queued": bench.options.backlog, "messages": report["messages"],
            "messages_per_second": report["messages"] / max(report["seconds"], 1e-9), "pss_mib": most,
            "complete": report["messages"] > 0}


def large(bench, count=20, size=25 << 20):
    """Measures memory while twenty messages of 25 MB are under way at once. The stand-in answers after three seconds."""
    with relay_and_ses(bench, "large", 3000, count) as (relay, ses):
        relay.start()
        load = bench.generate(relay, LargeLoad(sessions=4, per_session=count // 4, messages=count, size=size))
        accepting = watch(relay, lambda: load.poll() is not None, 300)
        accepted = json.loads(load.communicate()[0])["accepted"]
        sending = watch(relay, lambda: not left(relay), 300)
        relay.stop()
        report = ses.report()
    return {"messages": report["messages"], "most_open": report["most_open"], "octets": report["octets"],
            "pss_mib_accepting": accepting, "pss_mib": max(accepting, sending),
            "complete": accepted == count == report["messages"]}


class LargeLoad:
    def __init__(self, **values):
        self.__dict__.update(values)


def run(bench, name):
    """Runs one round of a work. Returns a list of runs."""
    found = {"drain": lambda: [drain(bench, concurrency) for concurrency in (10, 50)],
             "drain-backlog": lambda: [drain_backlog(bench)], "large": lambda: [large(bench)]}[name]()
    return [{"work": name, "server": "relay", **one} for one in found]


def table(work, runs, spread):
    """The lines of one work's table."""
    columns = [("concurrency", "concurrency"), ("messages", "messages"), ("messages/s", "messages_per_second"),
               ("share of what is possible", "share_of_possible"), ("open at a time", "most_open"),
               ("CPU, ms a message", "cpu_ms_per_message"), ("memory, MiB", "pss_mib")]
    shown = [(title, key) for title, key in columns if key in runs[0]]
    lines = ["| " + " | ".join(title for title, _ in shown) + " |", "|---" * len(shown) + "|"]
    for concurrency in dict.fromkeys(run.get("concurrency") for run in runs):
        own = [run for run in runs if run.get("concurrency") == concurrency and run["complete"]]
        lines.append("| " + (" | ".join(spread([run[key] for run in own]) for _, key in shown) if own else "no complete run") + " |")
    return lines
