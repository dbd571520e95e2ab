"""A relay under test: the program itself with settings of its own. Tests examine it through its own commands."""

import hashlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The URL of a PostgreSQL server, with a role that may make databases. If it is set, each relay has a database on that server.
POSTGRESQL = os.environ.get("RELAY_TEST_POSTGRESQL")
BINARY = os.environ.get("HIVEKU_RELAY_BINARY", str(ROOT / ".build/debug/hiveku-relay"))

# How long any step may take. After that the test fails, so that it does not hang. This is not a measure of speed.
DEADLINE = 60


def clean_environment(extra=None):
    """The environment without variables that would change the relay's settings or the place where it finds AWS credentials."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HIVEKU_RELAY_", "AWS_"))}
    env.update(extra or {})
    return env


def self_signed(directory, name="relay", kind="ec"):
    """A certificate for localhost and its key, made for this run."""
    certificate, key = Path(directory) / f"{name}.pem", Path(directory) / f"{name}.key"
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", *algorithm, "-keyout", key, "-out", certificate, "-days", "30",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True)
    return certificate, key


class Relay:
    def __init__(self, directory, settings=None, environment=None):
        self.directory = Path(directory)
        self.environment = environment or {}
        # The command that starts the relay, such as a tracer.
        self.prefix = []
        self.certificate, self.key_file = self_signed(self.directory)
        self.config = self.directory / "relay.yaml"
        self.process = None
        self.log = []
        self.write_settings(settings or {})

    def write_settings(self, settings):
        tree = {
            "hostname": "relay.example.com",
            "database": self.database(),
            "listen": ["smtp://127.0.0.1:0", "smtps://127.0.0.1:0"],
            "tls": {"certificate": [str(self.certificate)], "private_key": [str(self.key_file)]},
            # No reserve, so that the tests do not depend on the free space of the machine. A test about space sets a reserve.
            "storage": {"reserve": 0, "reserve_test": 0},
        }
        for name, value in settings.items():
            section, _, leaf = name.partition(".")
            if leaf:
                tree.setdefault(section, {})[leaf] = value
            else:
                tree[section] = value
        # `start` waits until the relay has reported so many ports.
        self.expected_ports = 2 + len([place for place in tree.get("http", {}).get("listen", []) if "://" in place])
        page = tree.get("admin", {}).get("listen", "")
        self.expected_ports += page.startswith("http://")
        # JSON is valid YAML.
        self.config.write_text(json.dumps(tree, indent=2))

    def database(self):
        """A file in the directory. With RELAY_TEST_POSTGRESQL, it is a database on that server, which the first call makes."""
        if not POSTGRESQL:
            return str(self.directory / "relay.db")
        name = "test_" + hashlib.sha256(str(self.directory).encode()).hexdigest()[:24]
        base, _, _ = POSTGRESQL.rpartition("/")
        made = self.directory / "database-made"
        if not made.exists():
            from postgresql import programs

            subprocess.run([str(programs() / "psql"), "-q", "-c", f"CREATE DATABASE {name}", POSTGRESQL], check=True, capture_output=True)
            made.touch()
        return f"{base}/{name}"

    # -- the process

    def start(self):
        self.spawn()
        if not self.ready.wait(DEADLINE) or len(self.ports) < self.expected_ports:
            self.process.kill()
            raise RuntimeError("the relay did not start:\n" + "".join(self.log))
        return self

    def spawn(self):
        """Starts the process, and does not wait until it is ready."""
        assert self.process is None
        self.ports = {}
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [*self.prefix, BINARY, "serve", "--config", str(self.config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env=clean_environment(self.environment), text=True)
        # Each reader thread has its own process, ports and event, so that the last lines of an earlier process do not count
        # for this one.
        self.reader = threading.Thread(
            target=self._read_log, args=(self.process, self.ports, self.ready, self.expected_ports), daemon=True)
        self.reader.start()

    def _read_log(self, process, ports, ready, expected_ports):
        for line in process.stderr:
            self.log.append(line)
            match = re.search(
                r"listening address=(?:127\.0\.0\.1|\[::1\]):(\d+)(?: proxy_header=required)? tls=(\w+)", line) or re.search(
                r'"address":"127\.0\.0\.1:(\d+)".*"message":"listening".*"tls":"(\w+)"', line)
            web = re.search(r"listening address=127\.0\.0\.1:(\d+) http=(clear|tls)", line)
            public = re.search(r"listening address=198\.51\.100\.\d+:(\d+) http=clear", line)
            if match:
                ports["smtp" if match[2] == "starttls" else "smtps"] = int(match[1])
            elif web:
                ports["http" if web[2] == "clear" else "https"] = int(web[1])
            elif public:
                ports["open"] = int(public[1])
            elif page := re.search(r"the operator's page is listening.*?127\.0\.0\.1:(\d+)", line):
                ports["page"] = int(page[1])
            if len(ports) == expected_ports:
                ready.set()
        ready.set()

    def stop(self, sig=signal.SIGTERM):
        """Ends the relay and returns its exit status."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(sig)
        try:
            status = process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        self.reader.join(DEADLINE)
        return status

    def log_text(self):
        return "".join(self.log)

    # -- its commands

    def run(self, *arguments, check=True, input=None, environment=None):
        result = subprocess.run(
            [BINARY, *arguments, "--config", str(self.config)], capture_output=True, text=True, timeout=DEADLINE,
            input=input, env=clean_environment({**self.environment, **(environment or {})}))
        if check:
            assert result.returncode == 0, f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def json(self, *arguments, **options):
        """The objects that a command prints, one object for each line."""
        return [json.loads(line) for line in self.run(*arguments, "--json", **options).stdout.splitlines()]

    def create_key(self, environment="test", scopes=("email:send",), **options):
        arguments = ["keys", "create", "--name", options.pop("name", "test key"), "--environment", environment]
        for scope in scopes:
            arguments += ["--scope", scope]
        for name, value in options.items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                arguments += ["--" + name.replace("_", "-"), str(item)]
        return self.run(*arguments).stdout.strip()

    def page_url(self, path=""):
        return f"http://127.0.0.1:{self.ports['page']}{path}"

    def login_link(self):
        """A link to the operator's page, with the real port. The settings of the tests have port 0."""
        url = self.json("admin", "login")[0]["url"]
        return self.page_url("/" + url.partition("://")[2].partition("/")[2])

    def message(self, message_id):
        return self.json("messages", "show", message_id)[0]

    def raw(self, message_id):
        result = subprocess.run(
            [BINARY, "messages", "show", message_id, "--raw", "--config", str(self.config)], capture_output=True,
            timeout=DEADLINE, env=clean_environment(self.environment))
        assert result.returncode == 0, result.stderr
        return result.stdout

    def wait_until(self, condition, what, deadline=DEADLINE):
        """Waits until `condition` returns something true, and returns it."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not within {deadline} s: {what}\n{self.log_text()}")

    def wait_for_log(self, *texts):
        """Waits until the log contains the texts, because the relay writes a line a moment after the event."""
        for text in texts:
            self.wait_until(lambda: text in self.log_text(), f"{text!r} in the log")

    def wait_for_state(self, message_id, *states):
        return self.wait_until(
            lambda: next((m for m in [self.message(message_id)] if m["state"] in states), None),
            f"message {message_id} in state {' or '.join(states)}")


def key_id(key):
    return key[8:16]


# Below the ports that the kernel assigns by itself, so that no other connection or listener takes a port that a test is about to
# use. Tests run side by side in several processes: each process has other ports.
_ports = itertools.cycle(range(start := 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), start + 1_000))


def free_port():
    """A port of 127.0.0.1 on which nobody listens. It is a long time before this function returns the same port again."""
    for port in itertools.islice(_ports, 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def as_sent(received, sent, key, expect_received=True):
    """Asserts that `received`, the content for SES, is `sent` with only those changes that the contract describes.

    `sent` is the content as the client sent it, with CRLF.
    """
    head, _, body = received.partition(b"\r\n\r\n")
    if expect_received:
        trace = re.match(
            rb"Received: from [^\r\n]+ \(\[[^\]]+\]\)\r\n by relay\.example\.com \(Hiveku Relay\) with E?SMTPS?A\r\n"
            rb" id [0-9a-z]{13} \(key " + key_id(key).encode() + rb"\);\r\n [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} "
            rb"\d{4} \d\d:\d\d:\d\d \+0000(\r\n|$)", head)
        assert trace, head[:300]
        head = head[trace.end():]
    sent_head, _, sent_body = sent.partition(b"\r\n\r\n")
    removed = re.compile(rb"(?im)^(bcc|return-path|x-ses-[^:]*|resent-bcc|hiveku-idempotency-key|hiveku-tags|hiveku-scheduled-at)\s*:.*(\r\n[ \t].*)*(\r\n|\Z)")
    expected = removed.sub(b"", sent_head + b"\r\n")[:-2] if sent_head else b""
    if not re.search(rb"(?im)^date:", sent_head):
        match = re.search(rb"\r\nDate: [^\r\n]+", head)
        assert match, "no Date added"
        head = head[:match.start()] + head[match.end():]
    if not re.search(rb"(?im)^message-id:", sent_head):
        match = re.search(rb"\r\nMessage-ID: <[^\r\n]+@relay\.example\.com>", head)
        assert match, "no Message-ID added"
        head = head[:match.start()] + head[match.end():]
    assert head == expected
    assert body == sent_body
