"""The tests' own PostgreSQL servers: primaries, and standbys that follow them."""

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
    """A program of PostgreSQL failed. The text is its output."""


def programs():
    """The directory of postgres and psql: from the packages that `make deps-test` unpacks, or from the machine."""
    for base in PLACES:
        versions = [path for path in (base / "usr/lib/postgresql").glob("*/bin") if int(path.parent.name) >= 15 and (path / "postgres").exists()]
        if versions:
            return max(versions, key=lambda path: int(path.parent.name))
    raise NotInstalled("PostgreSQL is not installed: run `make deps-test`")


def unprivileged(command):
    """`command`, to be run as a user other than root, because PostgreSQL and pgbouncer refuse to run as root.

    The user exists only in a namespace. Outside it is root, so it can reach each directory that the tests make.
    """
    command = [str(word) for word in command]
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *command] if os.geteuid() == 0 else command


def run(command, timeout=DEADLINE, **options):
    """Runs `command` and returns its standard output without the final line end.

    Raises Failed, or subprocess.TimeoutExpired after `timeout` seconds.
    """
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, env=clean_environment(), **options)
    if result.returncode != 0:
        raise Failed(result.stderr.strip() or result.stdout.strip())
    return result.stdout.rstrip("\n")


def wait_until(condition, what, deadline=DEADLINE):
    """Waits for the first true value of `condition()` and returns it.

    After `deadline` seconds it raises AssertionError with `what`.
    """
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

    The tests run commands on it through a Unix socket. So they reach it in a network namespace and behind a partition too.

    - `port`, `address`: where it listens. The default is a free port of the loopback interface.
    - `settings`: settings as in postgresql.conf.
    - `durable`: it flushes to the disk. Without this, it is faster. It then survives the loss of its processes, but not of the
    machine.
    - `sync_delay`: the seconds that each flush waits first. This also makes the server durable.
    - `wal_directory`: the directory of the write-ahead log. The default is a directory within the data.
    - `host`: the `network.Host` on which it runs.
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
        # Not in `self.directory`, because its path may be too long for the name of a socket.
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
            # The steps until here made thousands of flushes. So flushes become slow only now.
            self._slow = True
            self.restart()

    def configure(self, settings):
        own = {"listen_addresses": self.address, "port": self.port, "unix_socket_directories": self._sockets, **settings}
        (self.data / "postgresql.conf").write_text("".join(f"{name} = {quoted(value)}\n" for name, value in own.items()))
        (self.data / "pg_hba.conf").write_text(ACCESS)

    # Start and stop

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
        """Stops the server. `smart` waits until the clients have left, and `fast` disconnects them.

        `immediate` ends the processes at once. The server then recovers at its next start.
        """
        self.process.send_signal(SIGNALS[mode])
        self.process.wait(DEADLINE)
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def kill(self):
        """Kills all processes of the server at once. What they have written to files stays."""
        # The postmaster is stopped first, so that it can't start a process that this would miss. Each of its processes has
        # its own process group.
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
        """The ids of the server's processes: first that of the postmaster, then those that it started."""
        postmaster = self.process.pid
        found = [postmaster]
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if int(_state(name)[1]) == postmaster:
                        found.append(int(name))
        return found

    def cpu_seconds(self):
        """The processor time that its processes have used since the start, with those that have ended (to 10 ms each)."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
        ended = _state(self.process.pid)[13:15]
        return total + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")

    # Queries and settings

    def url(self, database="relay", role="relay"):
        return f"postgresql://{role}:{self.password}@{self.address}:{self.port}/{database}"

    def psql(self, sql, database="relay", *, role="postgres", timeout=DEADLINE):
        """The result of `sql`: a line for each row, with `|` between the columns. Raises Failed, or subprocess.TimeoutExpired."""
        return run([programs() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self._sockets, "-p", self.port, "-U", role,
                    "-d", database], timeout, input=sql)

    def create_database(self, name):
        # Nobody can connect to template0, so no connection prevents the copy. Without flushes, the database is copied as
        # files, so that a new database does not make the write-ahead log grow.
        strategy = "wal_log" if self.settings["fsync"] == "on" else "file_copy"
        self.psql(f"CREATE DATABASE {name} OWNER relay TEMPLATE template0 STRATEGY {strategy}", database="postgres")
        return self.url(name)

    def set(self, name, value):
        """Changes a setting of the running server. When this returns, new sessions and the checkpointer have the new value."""
        loaded = self.psql("SELECT pg_conf_load_time()", "postgres")
        self.psql(f"ALTER SYSTEM SET {name} = {quoted(value)}", "postgres")
        self.psql("SELECT pg_reload_conf()", "postgres")
        wait_until(lambda: self.psql("SELECT pg_conf_load_time()", "postgres") != loaded, f"{name} is read")
        # The checkpointer tells the backends whether there are synchronous standbys. It reads the settings before a checkpoint.
        self.psql("CHECKPOINT", "postgres")

    # Replication

    def standby(self, directory, *, name="standby", slot=False, **options):
        """A standby that follows this server. `name` is its `application_name`, and the name of its slot if it has one."""
        return Standby(self, directory, name, slot, **options)

    def wait_for_commits_on(self, *names):
        """Makes each commit wait for all these standbys, or for none. Returns when the standbys follow."""
        self.set("synchronous_standby_names", f"{len(names)} ({', '.join(names)})" if names else "")
        for name in names:
            wait_until(
                lambda: self.psql(
                    "SELECT count(*) FROM pg_stat_replication "
                    f"WHERE application_name = {quoted(name)} AND state = 'streaming' AND sync_state = 'sync'") == "1",
                f"{name} is a synchronous standby")

    def wait_for_replay(self, standby):
        """Waits until the standby has replayed everything that is committed now."""
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
        """Makes it a primary.

        With `reset`, its commits no longer wait for a standby. It inherited that setting from the old primary.
        """
        assert self.psql(f"SELECT pg_promote(true, {DEADLINE})") == "t", self.log.read_text()
        if reset:
            self.set("synchronous_standby_names", "")
        return self


def _state(process):
    """The fields of /proc/PID/stat that follow the name: state, parent, and so on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


@contextlib.contextmanager
def full_disk(server):
    """Fills the file system with the server's data within the `with` statement. It must be a small one (`small_disk.mounted`)."""
    from small_disk import fill

    status = os.statvfs(server.data)
    assert status.f_blocks * status.f_frsize < 1 << 30, "not a small file system"
    filler = fill(server.directory)
    try:
        yield
    finally:
        filler.unlink()
