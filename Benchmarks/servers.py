"""The servers that are measured: the relay, Postfix with Dovecot for the passwords, and servers that do the least possible.

Each server starts with its own state in a new directory. Its object gives the server's CPU time and memory, and the number
of messages that the server has accepted.
"""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
POSTFIX_MASTER = Path("/usr/lib/postfix/sbin/master")
DOVECOT = Path("/usr/sbin/dovecot")

# How many seconds a server may take to start or stop.
DEADLINE = 120


# A value for the setting of OpenSSL (and BoringSSL) that hides instructions: bit 29 of the second word that CPUID's
# leaf 7 fills, which stands for SHA. Intel's processors for servers before Ice Lake do not have these instructions, and
# SHA-256 is three to six times as slow on them.
SHA_HIDDEN = ":~0x20000000"


class ServerError(Exception):
    pass


# -- CPU time


class ControlGroup:
    """Counts the CPU time of all processes that a server starts, including those that have ended. Needs root."""

    PLACES = [(Path("/sys/fs/cgroup/cpuacct"), "cpuacct.usage"), (Path("/sys/fs/cgroup"), "cpu.stat")]

    def __init__(self, name):
        self.path = None
        if os.geteuid() != 0:
            return
        for root, file in self.PLACES:
            path = root / f"hiveku-relay-benchmark-{os.getpid()}-{name}"
            try:
                path.mkdir()
                if (path / file).exists():
                    self.path, self.file = path, path / file
                    return
                path.rmdir()
            except OSError:
                pass

    def enter(self):
        """Must be called in the process that becomes the server."""
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self):
        text = self.file.read_text()
        if self.file.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(re.search(r"usage_usec (\d+)", text)[1]) / 1e6

    def processes(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def remove(self):
        if self.path:
            self.path.rmdir()


def process_tree(root):
    """`root` and its descendants, each with the fields of its /proc/PID/stat from the state on."""
    fields = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields[int(pid)] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            pass
    found, look = {}, [root]
    while look:
        pid = look.pop()
        if pid in fields:
            found[pid] = fields[pid]
            look += [child for child, stat in fields.items() if int(stat[1]) == pid]
    return found


# -- Servers


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_tools(directory):
    """Makes the load generator, the stand-ins, the slow disk, and a certificate (ECDSA P-256) for the servers."""
    directory.mkdir(parents=True, exist_ok=True)
    warnings = ["-Wall", "-Wextra", "-Werror", "-std=c11", "-O2", "-g"]
    for target, source, rest in [("smtp-load", "smtp-load.c", ["-lssl", "-lcrypto", "-lm"]),
                                 ("ses-standin", "ses-standin.c", []),
                                 ("floor", "floor.c", ["-lssl", "-lcrypto", "-lpthread", "-lsqlite3"]),
                                 ("slow-sync.so", "slow-sync.c", ["-shared", "-fPIC", "-ldl"])]:
        subprocess.run(["cc", *warnings, "-o", directory / target, HERE / "load" / source, *rest], check=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "365",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", directory / "tls.key", "-out", directory / "tls.pem"],
        check=True, capture_output=True)


def fill(template, target, **values):
    """Writes the template to the target with a value in the place of each @NAME@."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    left = re.search(r"@[A-Z_]+@", text)
    if left:
        raise ServerError(f"{template}: nothing to put in the place of {left[0]}")
    target.write_text(text)


class Server:
    """One start of a server. It gets a new directory, which is not deleted when the server stops."""

    user = "apikey"
    # Whether servers that start from now on must not use the processor's instructions for SHA. See `SHA_HIDDEN`.
    hides_sha = False

    def __init__(self, name, directory, tools, sync_delay):
        self.name, self.directory, self.tools = name, directory, tools
        self.sync_delay = sync_delay
        self.port = free_port()
        self.process = None
        self.processes_beside = []
        directory.mkdir(parents=True)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HIVEKU_RELAY_", "AWS_", "LD_PRELOAD"))}
        if self.sync_delay:
            env["LD_PRELOAD"] = str(self.tools / "slow-sync.so")
            env["SLOW_SYNC_MICROSECONDS"] = str(self.sync_delay)
        if Server.hides_sha:
            env["OPENSSL_ia32cap"] = SHA_HIDDEN
        return env | self.more_environment()

    def more_environment(self):
        return {}

    def spawn(self, command):
        """Starts `command` in the server's group, with its output in a file."""

        def prepare():
            import resource
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            self.group.enter()

        with open(self.directory / "output", "ab") as output:
            return subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=self.environment(), preexec_fn=prepare, start_new_session=True)

    def start(self):
        """Returns the seconds from the process's start to the SMTP greeting."""
        self.group = ControlGroup(self.name)
        started = time.monotonic()
        self.process = self.launch()
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
                    greeting = connection.recv(1000)
                    taken = time.monotonic() - started
                    if greeting.startswith(b"220"):
                        connection.sendall(b"QUIT\r\n")
                        return taken
                    raise ServerError(f"{self.name} greets with {greeting!r}")
            except ConnectionError:
                pass
            if self.process.poll() is not None or time.monotonic() > started + DEADLINE:
                self.stop()
                raise ServerError(f"{self.name} did not start; see {self.directory}/output")
            time.sleep(0.001)

    def stop(self):
        for process in [self.process, *self.processes_beside]:
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.process, self.processes_beside = None, []
        # Postfix's daemons end a moment after their master.
        end = time.monotonic() + DEADLINE
        while self.group.path and self.group.processes():
            if time.monotonic() > end:
                raise ServerError(f"{self.name}: processes are left over")
            time.sleep(0.02)
        self.group.remove()

    def cpu_seconds(self):
        if self.group.path:
            return self.group.seconds()
        ticks = 0
        for process in [self.process, *self.processes_beside]:
            # These fields are the process's own time, and the time of its children that have ended.
            ticks += sum(sum(map(int, stat[11:15])) for stat in process_tree(process.pid).values())
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss_kib(self):
        """The memory in KiB. Memory that processes share counts once."""
        pids = self.group.processes() if self.group.path else [
            pid for process in [self.process, *self.processes_beside] for pid in process_tree(process.pid)]
        total = 0
        for pid in pids:
            try:
                total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
            except OSError:
                pass
        return total


class Relay(Server):
    """
    live=True: the key is live, and ses.region is not set. The messages are accepted and wait, so only acceptance is measured.
    live=False: the key is a test key. The worker sends messages (simulated) while others are accepted.
    ses=(PORT, CONCURRENCY): the live messages are sent to the stand-in at this port.
    """

    def __init__(self, name, directory, tools, sync_delay, binary, live=True, log_level="info", database=None, ses=None,
                 more_settings=""):
        super().__init__(name, directory, tools, sync_delay)
        self.binary, self.live, self.ses = binary, live, ses
        self.database = directory / "relay.db"
        if database:
            shutil.copyfile(database, self.database)
        self.config = directory / "relay.yaml"
        self.https_port = free_port()
        self.config.write_text(f"""\
hostname: localhost
database: "{self.database}"
listen: ["smtp://127.0.0.1:{self.port}"]
http:
  listen: ["https://127.0.0.1:{self.https_port}"]
tls:
  certificate: ["{tools}/tls.pem"]
  private_key: ["{tools}/tls.key"]
submission:
  max_connections: 10000
  max_connections_per_client: 10000
log:
  level: {log_level}
""")

        if more_settings:
            with self.config.open("a") as config:
                config.write(more_settings)
        self.calls_aws = bool(ses or more_settings)
        if ses:
            with self.config.open("a") as config:
                config.write(f"""\
ses:
  region: us-east-1
  endpoint: "http://127.0.0.1:{ses[0]}"
  concurrency: {ses[1]}
  max_send_rate: 100000
""")
        self.password = self.command(
            "keys", "create", "--name", "benchmark", "--environment", "live" if live else "test", "--scope", "email:send",
            "--scope", "email:batch", "--scope", "email:templates", "--per-second", "1000000").strip()
        self.queued_before = self.queued()

    def more_environment(self):
        return {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "benchmark"} if self.calls_aws else {}

    def command(self, *words):
        result = subprocess.run(
            [str(self.binary), *words, "--config", str(self.config)], capture_output=True, text=True,
            env=self.environment())
        if result.returncode != 0:
            raise ServerError(f"hiveku-relay {' '.join(words)}: {result.stderr}")
        return result.stdout

    def launch(self):
        return self.spawn([self.binary, "serve", "--config", self.config])

    def query(self, sql):
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=DEADLINE) as database:
            return database.execute(sql).fetchone()[0]

    def queued(self):
        return self.query("SELECT COUNT(*) FROM message")

    def taken(self):
        return self.queued() - self.queued_before

    def finish(self):
        """Waits until the work is done. With a test key, it is done when the queue is empty."""
        end = time.monotonic() + DEADLINE
        waiting = "SELECT EXISTS (SELECT 1 FROM delivery WHERE state IN ('queued', 'sending') AND lane = 'test')"
        while not self.live and self.query(waiting):
            if time.monotonic() > end:
                raise ServerError("the queue does not get empty")
            time.sleep(0.02)


class Floor(Server):
    """Costs only what the kernel, OpenSSL and the sync cost. No server can cost less."""

    password = "benchmark-password-of-50-characters-like-an-API-key"

    def launch(self):
        return self.spawn([self.tools / "floor", self.port, self.tools / "tls.pem", self.tools / "tls.key",
                           self.directory / "journal"])

    def taken(self):
        """The program prints this number when it ends."""
        return int((self.directory / "output").read_text().split()[-1])

    def finish(self):
        pass


class SQLiteFloor(Floor):
    """A floor that inserts the relay's rows into a database instead of writing the message's octets to a file."""

    def __init__(self, name, directory, tools, sync_delay, binary):
        super().__init__(name, directory, tools, sync_delay)
        self.database = Relay("tables", directory / "tables", tools, sync_delay, binary).database

    def launch(self):
        return self.spawn([self.tools / "floor", self.port, self.tools / "tls.pem", self.tools / "tls.key",
                           self.database, "sqlite"])


class Storeless(Floor):
    """The relay without its store. It keeps no message."""

    PROGRAM = HERE / ".build/release/storeless"

    def launch(self):
        return self.spawn([self.PROGRAM, self.port, self.tools / "tls.pem", self.tools / "tls.key"])

    @property
    def password(self):
        return re.search(r"^key (\S+)$", (self.directory / "output").read_text(), re.M)[1]


class Postfix(Server):
    """Accepts messages from authenticated clients and holds all of them, as the relay does with live=True."""

    password = "benchmark-password-of-50-characters-like-an-API-key"

    @staticmethod
    def reason_against():
        """The reason why Postfix can't be measured on this machine, or None."""
        if not POSTFIX_MASTER.exists() or not DOVECOT.exists():
            return "Postfix and Dovecot are not installed (apt-get install postfix dovecot-core)"
        if os.geteuid() != 0:
            return "Postfix can only be started by root"

    def __init__(self, name, directory, tools, sync_delay):
        super().__init__(name, directory, tools, sync_delay)
        for part in ["etc", "queue", "data"]:
            (directory / part).mkdir()
        # The sockets have a directory of their own, because their paths may have at most 107 characters.
        self.sasl = Path(tempfile.mkdtemp(prefix="benchmark-sasl-"))
        self.sasl.chmod(0o755)
        shutil.chown(directory / "data", "postfix")
        (self.sasl / "users").write_text(f"{self.user}:{{PLAIN}}{self.password}\n")
        peers = HERE / "peers"
        fill(peers / "main.cf.in", directory / "etc/main.cf", DIRECTORY=directory, TOOLS=tools, SASL=self.sasl)
        fill(peers / "master.cf.in", directory / "etc/master.cf", PORT=self.port)
        fill(peers / "dovecot.conf.in", self.sasl / "dovecot.conf", SASL=self.sasl)

    def launch(self):
        etc = self.directory / "etc"
        # This command makes the directories of the queue.
        check = subprocess.run(["postfix", "-c", str(etc), "check"], capture_output=True, text=True)
        if check.returncode != 0:
            raise ServerError(f"postfix check: {check.stderr}")
        self.processes_beside = [self.spawn([DOVECOT, "-F", "-c", self.sasl / "dovecot.conf"])]
        end = time.monotonic() + DEADLINE
        while not (self.sasl / "auth").exists():
            if time.monotonic() > end or self.processes_beside[0].poll() is not None:
                raise ServerError(f"Dovecot did not start; see {self.directory}/output")
            time.sleep(0.01)
        return self.spawn([POSTFIX_MASTER, "-c", etc, "-d"])

    def stop(self):
        super().stop()
        shutil.rmtree(self.sasl)

    def taken(self):
        return sum(len(files) for _, _, files in os.walk(self.directory / "queue/hold"))

    def finish(self):
        pass
