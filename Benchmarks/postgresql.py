#!/usr/bin/env python3
"""Measures what the store on PostgreSQL costs, compared with a floor on the same server and with SQLite.

Some works measure it with slow commits, or while another session holds a snapshot.

`make bench-postgresql`, or `Benchmarks/postgresql.py --work accept,relay --rounds 3`. The benchmark starts a durable server of its own in a
directory of its own. Works:

accept   batches of 20 messages of 4 KB: the server's CPU a message, of the store and of the floor (Benchmarks/load/postgresql-floor.c), in turn
relay    work b of bench.py: the relay's own CPU a message, on SQLite and on PostgreSQL, in turn
two      work b where each commit waits 5 ms for the standby: messages a second of one relay and of two on one database, in turn
two-disk as two, but without a standby, and each flush of the server's disk takes 5 ms more. A server flushes once at a time, which limits the rate
queue    messages through the queue, 50 at a time; the same while another session holds a snapshot
held     only the second part of queue. `--work held --scale 3` holds the snapshot for more than ten minutes
body     messages of 25 MB: the server's CPU a MiB
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "Tests/Integration"), str(ROOT / "Benchmarks")]

import servers  # noqa: E402
from bench import B, Bench  # noqa: E402
from postgresql import Server  # noqa: E402
from relay import free_port  # noqa: E402

SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum_naptime": "10s", "max_connections": 200}


class RelayOn(servers.Relay):
    """A relay on a database of a PostgreSQL server."""

    def __init__(self, name, directory, tools, binary, url, server, database):
        self.url, self.postgresql, self.name_of_database = url, server, database
        super().__init__(name, directory, tools, 0, binary, live=True)

    @property
    def database(self):
        return self.url

    @database.setter
    def database(self, _):
        """Ignores the path that a relay on SQLite would have."""

    def query(self, sql):
        return int(self.postgresql.psql(sql, self.name_of_database) or 0)

    def queued(self):
        tables = self.query("SELECT count(*) FROM pg_tables WHERE tablename = 'message'")
        return self.query("SELECT count(*) FROM message") if tables else 0


def talk(command, server=None):
    """Runs a program that prints `ready`, waits for a line, prints a report and waits for another. Returns the report, and the server's CPU time."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", f"{command[0]} does not begin"
    before = server.cpu_seconds()
    print(file=process.stdin, flush=True)
    report = json.loads(process.stdout.readline())
    report["server_seconds"] = server.cpu_seconds() - before
    process.communicate("\n")
    return report


class Works:
    def __init__(self, options):
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix="bench-postgresql-", dir=options.directory))
        self.made = 0

    @contextlib.contextmanager
    def server(self, **more):
        self.made += 1
        with Server(self.directory / f"server{self.made}", durable=True, settings=SETTINGS, **more) as server:
            yield server

    def empty(self, server):
        self.made += 1
        name = f"bench{self.made}"
        return name, server.create_database(name)

    def accept(self):
        floor = self.directory / "floor"
        subprocess.run(
            ["gcc", "-O2", f"-I{ROOT}/Sources/CPostgreSQL/include", ROOT / "Benchmarks/load/postgresql-floor.c",
             ROOT / "Sources/CPostgreSQL/libpq.c", "-ldl", "-o", floor], check=True)
        messages = round(20_000 * self.options.scale)
        costs = {"floor": [], "store": []}
        own = []
        with self.server() as server:
            name, url = self.empty(server)
            # This call makes the tables and a key.
            talk([self.options.probe, "accept", url, 20, 20], server)
            key = server.psql("SELECT id FROM key LIMIT 1", name)
            for _ in range(self.options.rounds):
                report = talk([floor, url, key, 20, messages, 4096], server)
                costs["floor"].append(report["server_seconds"] / messages * 1e6)
                report = talk([self.options.probe, "accept", url, 20, messages, 1, 4096], server)
                costs["store"].append(report["server_seconds"] / messages * 1e6)
                own.append(report["own_microseconds"])
        ratio = statistics.median(store / floor for store, floor in zip(costs["store"], costs["floor"]))
        return {"server_us_a_message": costs, "ratio_median": ratio, "own_us_a_message": own}

    def body(self):
        with self.server() as server:
            _, url = self.empty(server)
            report = talk([self.options.probe, "body", url, 25, max(1, round(8 * self.options.scale))], server)
        return {"server_ms_a_mebibyte": report["server_seconds"] * 1000 / report["mebibytes"]}

    def queue(self):
        free, held = self.cycle(holds=False), self.cycle(holds=True)
        return {"free": [free[0], free[len(free) // 2], free[-1]], **self.compared(held)}

    def held(self):
        return self.compared(self.cycle(holds=True))

    def compared(self, held):
        start, end = held[0], held[-1]
        return {
            "held": [start, held[1], held[len(held) // 2], end], "held_seconds": sum(window["seconds"] for window in held[1:]),
            "p99_end_to_start": end["p99_ms"] / start["p99_ms"],
            "p99_worst_to_start": max(window["p99_ms"] for window in held) / start["p99_ms"],
            "mean_end_to_start": end["mean_ms"] / start["mean_ms"]}

    def cycle(self, holds):
        """Returns a report on each window of messages. If `holds` is true, another session holds a snapshot after the first window."""
        messages = round(1_000_000 * self.options.scale)
        window = max(1000, messages // 20)
        with self.server() as server:
            name, url = self.empty(server)
            process = subprocess.Popen(
                [str(self.options.probe), "cycle", url, str(messages), str(window)], stdout=subprocess.PIPE, text=True)
            reports, holder, cpu = [], None, server.cpu_seconds()
            for line in process.stdout:
                report = json.loads(line)
                now = server.cpu_seconds()
                report["server_us_a_message"] = (now - cpu) / window * 1e6
                cpu = now
                reports.append(report)
                print(f"  {'held' if holds else 'free'} {report}", file=sys.stderr)
                if holds and holder is None:
                    holder = self.hold(server, name)
            if holder:
                holder.communicate("COMMIT;\n")
            return reports

    def hold(self, server, name):
        from postgresql import programs

        holder = subprocess.Popen(
            [str(programs() / "psql"), "-XAtq", "-h", server._sockets, "-p", str(server.port), "-U", "postgres", "-d", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM message;", file=holder.stdin, flush=True)
        holder.stdout.readline()
        return holder

    # -- the relay as a whole

    def bench(self):
        options = argparse.Namespace(directory=self.options.directory, sync_delay=0, binary=self.options.binary, log_level="info")
        return Bench(options)

    def load(self, bench, relays, messages):
        """Each relay accepts this many messages. Returns the report on each relay, and the CPU seconds of each."""
        for relay in relays:
            relay.start()
            bench.warm_up(relay, B)
        before = [relay.cpu_seconds() for relay in relays]
        load = argparse.Namespace(**vars(B))
        load.messages = messages
        processes = [bench.generate(relay, load) for relay in relays]
        reports = [json.loads(process.communicate()[0]) for process in processes]
        for report in reports:
            assert report["accepted"] == messages, report["first_failure"]
        return reports, [relay.cpu_seconds() - cpu for relay, cpu in zip(relays, before)]

    def relay(self):
        bench = self.bench()
        servers.make_tools(bench.tools)
        messages = max(2000, round(20_000 * self.options.scale / 2000) * 2000)
        costs = {"sqlite": [], "postgresql": []}
        rates = {"sqlite": [], "postgresql": []}
        with self.server() as server:
            for _ in range(self.options.rounds):
                for kind in costs:
                    self.made += 1
                    directory = self.directory / f"relay{self.made}"
                    if kind == "sqlite":
                        relay = servers.Relay(kind, directory, bench.tools, 0, self.options.binary)
                    else:
                        name, url = self.empty(server)
                        relay = RelayOn(kind, directory, bench.tools, self.options.binary, url, server, name)
                    try:
                        reports, cpu = self.load(bench, [relay], messages)
                    finally:
                        relay.stop()
                    costs[kind].append(cpu[0] / messages * 1e6)
                    rates[kind].append(messages / reports[0]["seconds"])
        ratio = statistics.median(p / s for p, s in zip(costs["postgresql"], costs["sqlite"]))
        return {"own_us_a_message": costs, "messages_a_second": rates, "ratio_median": ratio}

    def two(self):
        with self.server() as server, server.standby(self.directory / "standby", settings=SETTINGS) as standby:
            with SlowAnswers(server.port, 0.005) as slow:
                conninfo = standby.psql("SHOW primary_conninfo", "postgres")
                standby.set("primary_conninfo", conninfo.replace(f"port={server.port}", f"port={slow.port}"))
                server.wait_for_commits_on("standby")
                return self.one_and_two(server)

    def two_disk(self):
        with self.server(sync_delay=0.005) as server:
            return self.one_and_two(server)

    def one_and_two(self, server):
        bench = self.bench()
        servers.make_tools(bench.tools)
        messages = max(2000, round(4000 * self.options.scale / 2000) * 2000)
        rates = {1: [], 2: []}
        for _ in range(self.options.rounds):
            for count in rates:
                name, url = self.empty(server)
                relays = []
                try:
                    for number in range(count):
                        self.made += 1
                        relays.append(RelayOn(
                            f"relay{number}", self.directory / f"relay{self.made}", bench.tools, self.options.binary, url,
                            server, name))
                    reports, _ = self.load(bench, relays, messages)
                finally:
                    for relay in relays:
                        relay.stop()
                rates[count].append(count * messages / max(report["seconds"] for report in reports))
        ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2]))
        return {"messages_a_second": rates, "ratio_median": ratio}


class SlowAnswers:
    """Passes connections on to a port. The octets of the clients arrive `delay` seconds later, however many are on their way at once."""

    def __init__(self, port, delay):
        self.target, self.delay, self.port = port, delay, free_port()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", self.port), self.loop).result()
        return self

    def __exit__(self, *_):
        async def end():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _serve(self, reader, writer):
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)

        async def pass_on(source, write):
            while data := await source.read(65536):
                write(data)

        both = [
            asyncio.ensure_future(pass_on(from_server, writer.write)),
            asyncio.ensure_future(pass_on(reader, lambda data: self.loop.call_later(self.delay, to_server.write, data)))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_server):
            end.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="accept,relay,two,two-disk,queue,body")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--binary", default=ROOT / ".build/release/hiveku-relay")
    parser.add_argument("--probe", default=ROOT / ".build/release/postgresql-probe")
    parser.add_argument("--directory", type=Path, default=ROOT / "Benchmarks/.build")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    works = Works(options)
    try:
        for work in options.work.split(","):
            print(json.dumps({work: getattr(works, work.replace('-', '_'))()}), flush=True)
    finally:
        shutil.rmtree(works.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
