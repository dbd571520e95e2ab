#!/usr/bin/env python3
"""PostgreSQL for the tests: servers, standbys, and pgbouncer in front of them.

`postgresql.py --serve [DIRECTORY] [--pgbouncer session|transaction]` runs a server for the tests of another program. It prints the
URL of a database. For each line `database` on its standard input, it makes an empty database and prints its URL. For a line `drop
URL`, it drops that database. It ends when its standard input ends.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from postgresql_server import (
    PLACES, Failed, NotInstalled, Server, Standby, full_disk, is_open, programs, run, unprivileged, wait_until)
from relay import DEADLINE, clean_environment, free_port

__all__ = ["Failed", "NotInstalled", "Pgbouncer", "Server", "Standby", "full_disk", "programs", "run", "wait_until"]


class Pgbouncer:
    """pgbouncer in front of a server, in `session` or `transaction` mode."""

    def __init__(self, server, directory, mode="session", *, port=None, settings=None):
        self.server, self.directory, self.port, self.address = server, Path(directory), port or free_port(), server.address
        self.settings = {"pool_mode": mode, "max_client_conn": 1000, "default_pool_size": 20, "server_idle_timeout": 5,
                         "server_login_retry": 1, **(settings or {})}
        self.process = None

    def __enter__(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        users = self.directory / "users.txt"
        users.touch(mode=0o600)
        users.write_text(f'"relay" "{self.server.password}"\n')
        settings = {"listen_addr": self.address, "listen_port": self.port, "unix_socket_dir": "", "auth_type": "scram-sha-256",
                    "auth_file": users, **self.settings}
        (self.directory / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={self.server.address} port={self.server.port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        return self.start()

    def __exit__(self, *_):
        if self.process is not None:
            self.kill()

    def start(self):
        program = next((path for base in PLACES if (path := base / "usr/sbin/pgbouncer").exists()), None)
        if program is None:
            raise NotInstalled("pgbouncer is not installed: run `make deps-test`")
        log = self.directory / "pgbouncer.log"
        host = self.server.host
        with open(log, "ab") as output, host.entered() if host else contextlib.nullcontext():
            self.process = subprocess.Popen(
                unprivileged([program, "-q", self.directory / "pgbouncer.ini"]), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=clean_environment())

        def listens():
            assert self.process.poll() is None, log.read_text()
            with host.entered() if host else contextlib.nullcontext():
                return is_open(self.address, self.port)

        wait_until(listens, lambda: log.read_text())
        return self

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.process = None

    def url(self, database="relay", role="relay"):
        return f"postgresql://{role}:{self.server.password}@{self.address}:{self.port}/{database}"


def serve(directory, pooling):
    # The servers must not inherit open files of the program that starts this one: Foundation's Process considers a program
    # alive as long as any process has its socket.
    os.closerange(3, 65536)
    # These ports are above those of the integration tests, which may run at the same time. Another server like this one uses
    # other ports.
    start = 24_000 + os.getpid() % 800 * 10
    ports = (port for port in range(start, start + 10) if not is_open("127.0.0.1", port))
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="hiveku-relay-postgresql-"))
        server = stack.enter_context(Server(directory, port=next(ports), settings={"max_connections": 500}))
        front = stack.enter_context(Pgbouncer(server, Path(directory) / "pgbouncer", pooling, port=next(ports))) if pooling else server
        print(front.url(), flush=True)
        made = 0
        for line in sys.stdin:
            match line.split():
                case ["database"]:
                    made += 1
                    server.create_database(f"test{made}")
                    print(front.url(f"test{made}"), flush=True)
                case ["drop", url] if name := re.search(r"/(test\d+)$", url):
                    server.psql(f"DROP DATABASE {name[1]} WITH (FORCE)", database="postgres")
                    print("dropped", flush=True)
                case _:
                    sys.exit(f"not understood: {line.split()[:1]}")


def main():
    parser = argparse.ArgumentParser(description="A PostgreSQL server for tests, until standard input ends.")
    parser.add_argument("--serve", nargs="?", const=None, metavar="DIRECTORY", required=True, type=Path,
                        help="where its files are; a temporary directory unless told")
    parser.add_argument("--pgbouncer", choices=("session", "transaction"), help="give URLs of a pgbouncer in front of it")
    arguments = parser.parse_args()
    # On SIGTERM, exit in a way that stops the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        serve(arguments.serve, arguments.pgbouncer)
    except (NotInstalled, Failed) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
