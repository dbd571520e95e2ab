"""PostgreSQL servers of the tests' own: primaries, and standbys that follow them."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from relay import DEADLINE, ROOT, clean_environment, free_port

UNPACKED = ROOT / ".venv/postgresql"
PLACES = (UNPACKED, Path("/"))
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

ACCESS = """local all all trust
local replication all trust
host all all all scram-sha-256
host replication all all scram-sha-256
"""


class NotInstalled(Exception):
    pass


class Failed(Exception):
    """A program of PostgreSQL refused. The text is what it wrote."""


def programs():
    """The directory of postgres and psql: what `make deps-test` unpacks, or what the machine has."""
    for base in PLACES:
        versions = [path for path in (base / "usr/lib/postgresql").glob("*/bin") if int(path.parent.name) >= 15 and (path / "postgres").exists()]
        if versions:
            return max(versions, key=lambda path: int(path.parent.name))
    raise NotInstalled("PostgreSQL is not installed: run `make deps-test`")


def unprivileged(command):
    """`command` as a user that is not root, which PostgreSQL and pgbouncer refuse.

    The user exists in a namespace only and is root outside: it can reach each directory that the tests make.
    """
    command = [str(word) for word in command]
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *command] if os.geteuid() == 0 else command


def run(command, timeout=DEADLINE, **options):
    """Standard output without the last line's end. Raises Failed, or subprocess.TimeoutExpired after `timeout` seconds."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, env=clean_environment(), **options)
    if result.returncode != 0:
        raise Failed(result.stderr.strip() or result.stdout.strip())
    return result.stdout.rstrip("\n")


def wait_until(condition, what, deadline=DEADLINE):
    """The first true value of `condition()`. Raises AssertionError with `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline} s for this: {what() if callable(what) else what}"
        time.sleep(0.02)
    return value


def is_open(address, port):
    try:
        socket.create_connection((address, port), timeout=DEADLINE).close()
        return True
    except OSError:
        return False


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


class Server:
    """A server with a database `relay` and a role `relay` that owns it and logs in by TCP with a password.

    Commands of the tests reach it through a Unix socket, so also in a network namespace and behind a partition.

    - `port`, `address`: where it listens; a free port of the loopback interface unless told.
    - `settings`: as in postgresql.conf.
    - `durable`: flushes to the disk. Without it a server is faster, and survives the loss of its processes but not of the machine.
    - `sync_delay`: seconds that each flush waits first; makes it durable.
    - `wal_directory`: where the log is written, unless it is among the data.
    - `host`: a `network.Host` to run on.
    """

    def __init__(self, directory, *, port=None, address="127.0.0.1", settings=None, durable=False, sync_delay=None,
                 wal_directory=None, host=None):
        self.directory, self.host = Path(directory), host
        self.data = self.directory / "data"
        self.wal_directory = wal_directory
        self.port, self.address = port or free_port(), host.address if host else address
        self.password = secrets.token_urlsafe(18)
        self.sync_delay, self._slow, self.process, self._sockets = sync_delay, False, None, None
        self.settings = {"fsync": "on" if durable or sync_delay else "off", "full_page_writes": "on" if durable or sync_delay else "off",
                         "jit": "off", "log_min_messages": "warning", "wal_keep_size": "64MB", **(settings or {})}

    def __enter__(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not in the directory, whose path may be longer than a socket's name can be.
        self._sockets = tempfile.mkdtemp(prefix="pg-")
        try:
            self.create()
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        try:
            if self.process is not None:
                self.stop("immediate")
        finally:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def create(self):
        wal = ["--waldir", self.wal_directory] if self.wal_directory else []
        run(unprivileged([programs() / "initdb", "-D", self.data, "-U", "postgres", "--no-sync", "--encoding=UTF8", "--locale=C",
                          "--auth=trust", "--wal-segsize=1", *wal]))
        self.configure(self.settings)
        self.start()
        # The URL has the password, so the server must not write the statement to its log, whatever its settings are.
        self.psql(f"""SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';
            CREATE ROLE relay LOGIN PASSWORD {quoted(self.password)};
            CREATE ROLE replication REPLICATION LOGIN PASSWORD {quoted(self.password)};""", database="postgres")
        self.create_database("relay")
        if self.sync_delay:
            # What has been made until here took thousands of flushes.
            self._slow = True
            self.restart()

    def configure(self, settings):
        own = {"listen_addresses": self.address, "port": self.port, "unix_socket_directories": self._sockets, **settings}
        (self.data / "postgresql.conf").write_text("".join(f"{name} = {quoted(value)}\n" for name, value in own.items()))
        (self.data / "pg_hba.conf").write_text(ACCESS)

    # Its life

    def start(self):
        environment = {}
        if self._slow:
            environment = {"LD_PRELOAD": str(self._slow_sync()), "SLOW_SYNC_MICROSECONDS": str(round(self.sync_delay * 1e6))}
        with open(self.log, "ab") as log, self.host.entered() if self.host else contextlib.nullcontext():
            self.process = subprocess.Popen(
                unprivileged([programs() / "postgres", "-D", self.data]), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(environment))
        wait_until(self._is_ready, lambda: f"the server answers\n{self.log.read_text()}")
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            self.process = None
            raise Failed(f"PostgreSQL ended:\n{self.log.read_text()}")
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(self.process.pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def stop(self, mode="fast"):
        """`smart` waits for its clients, `fast` ends them, `immediate` leaves the recovery to the next start."""
        self.process.send_signal(SIGNALS[mode])
        self.process.wait(DEADLINE)
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def kill(self):
        """As a crash of the machine's processes: none of them does anything more, and what they wrote stays."""
        # The postmaster is stopped first, so that it starts no process that is missed. Each of its processes has a process group.
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.process.pid)[0] in "TZ", "the postmaster is stopped")
        for process in reversed(self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ended = self.process.wait(DEADLINE)
        assert ended == -signal.SIGKILL, f"PostgreSQL had ended with {ended}"
        self.process = None

    @property
    def log(self):
        return self.directory / "postgresql.log"

    def _slow_sync(self):
        library = self.directory / "slow-sync.so"
        if not library.exists():
            run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, ROOT / "Benchmarks/load/slow-sync.c", "-ldl"])
        return library

    # Its processes

    def processes(self):
        """The ids of the postmaster, which is first, and of its processes."""
        postmaster = self.process.pid
        found = [postmaster]
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if int(_state(name)[1]) == postmaster:
                        found.append(int(name))
        return found

    def cpu_seconds(self):
        """What its processes have used since the start, those included that have ended (to 10 ms each)."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
        ended = _state(self.process.pid)[13:15]
        return total + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")

    # What is asked of it

    def url(self, database="relay", role="relay"):
        return f"postgresql://{role}:{self.password}@{self.address}:{self.port}/{database}"

    def psql(self, sql, database="relay", *, role="postgres", timeout=DEADLINE):
        """What `sql` answers, a line a row, columns parted by `|`. Raises Failed, or subprocess.TimeoutExpired."""
        return run([programs() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self._sockets, "-p", self.port, "-U", role,
                    "-d", database], timeout, input=sql)

    def create_database(self, name):
        # template0, to which nobody can connect: a connection to the template would be in the way. Copied as files where they are not
        # flushed one by one, so that the log does not grow by each database.
        strategy = "wal_log" if self.settings["fsync"] == "on" else "file_copy"
        self.psql(f"CREATE DATABASE {name} OWNER relay TEMPLATE template0 STRATEGY {strategy}", database="postgres")
        return self.url(name)

    def set(self, name, value):
        """Changes a setting of the running server. New sessions have it when this returns, and the checkpointer too."""
        loaded = self.psql("SELECT pg_conf_load_time()", "postgres")
        self.psql(f"ALTER SYSTEM SET {name} = {quoted(value)}", "postgres")
        self.psql("SELECT pg_reload_conf()", "postgres")
        wait_until(lambda: self.psql("SELECT pg_conf_load_time()", "postgres") != loaded, f"{name} is read")
        # The checkpointer tells the backends whether there are synchronous standbys. It reads the settings before a checkpoint.
        self.psql("CHECKPOINT", "postgres")

    # Replication

    def standby(self, directory, *, name="standby", slot=False, **options):
        """A standby that follows this server under the `application_name` `name`, with a slot of that name or none."""
        return Standby(self, directory, name, slot, **options)

    def wait_for_commits_on(self, *names):
        """Makes each commit wait for all these standbys, or for none. They follow when this returns."""
        self.set("synchronous_standby_names", f"{len(names)} ({', '.join(names)})" if names else "")
        for name in names:
            wait_until(
                lambda: self.psql(
                    "SELECT count(*) FROM pg_stat_replication "
                    f"WHERE application_name = {quoted(name)} AND state = 'streaming' AND sync_state = 'sync'") == "1",
                f"{name} is a synchronous standby")

    def wait_for_replay(self, standby):
        """Until the standby has replayed what is committed now."""
        written = self.psql("SELECT pg_current_wal_flush_lsn()")
        wait_until(
            lambda: standby.psql(f"SELECT pg_last_wal_replay_lsn() >= {quoted(written)}::pg_lsn") == "t", f"{written} is replayed")


class Standby(Server):
    def __init__(self, primary, directory, name, slot, **options):
        super().__init__(directory, **options)
        self.primary, self.name, self.slot, self.password = primary, name, slot, primary.password

    def create(self):
        slot = ["--create-slot", f"--slot={self.name}"] if self.slot else []
        wal = ["--waldir", self.wal_directory] if self.wal_directory else []
        run(unprivileged([programs() / "pg_basebackup", "-D", self.data, "-h", self.primary._sockets, "-p", self.primary.port,
                          "-U", "postgres", "--checkpoint=fast", "--wal-method=stream", "--no-sync", *slot, *wal]))
        primary = {"host": self.primary.address, "port": self.primary.port, "user": "replication", "password": self.password,
                   "application_name": self.name, "connect_timeout": 5}
        self.configure({
            **self.settings, "primary_conninfo": " ".join(f"{key}={value}" for key, value in primary.items()),
            "primary_slot_name": self.name if self.slot else "", "wal_retrieve_retry_interval": "100ms"})
        (self.data / "standby.signal").touch()
        self._slow = bool(self.sync_delay)
        self.start()
        wait_until(lambda: self.psql("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "1",
                   lambda: f"{self.name} follows\n{self.log.read_text()}")

    def promote(self, *, reset=True):
        """Makes it a primary. `reset` ends what it inherited: that commits wait for a standby, which it is no more."""
        assert self.psql(f"SELECT pg_promote(true, {DEADLINE})") == "t", self.log.read_text()
        if reset:
            self.set("synchronous_standby_names", "")
        return self


def _state(process):
    """The fields of /proc/PID/stat behind the name: state, parent, and so on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


@contextlib.contextmanager
def full_disk(server):
    """The file system of the server's data has no space left, until the end. It must be a small one (`small_disk.mounted`)."""
    from small_disk import fill

    status = os.statvfs(server.data)
    assert status.f_blocks * status.f_frsize < 1 << 30, "not a small file system"
    filler = fill(server.directory)
    try:
        yield
    finally:
        filler.unlink()
