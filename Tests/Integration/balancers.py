"""Debian's HAProxy and nginx: unpacked, and run by the tests with the configurations that README.md shows."""

import contextlib
import re
import socket
import subprocess
import time

from relay import DEADLINE, ROOT, free_port

UNPACKED = ROOT / ".venv/balancers"

# The ports in the README.
PORTS = {"smtp": 587, "smtps": 465, "https": 443}


def shown(language):
    """The README's configuration in this language."""
    section = re.search(r"^## Behind a load balancer\n(.*?)(?=^## )", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    return re.search(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)[1]


def filled(text, *replacements):
    """`text` with each written part replaced by the one that is meant. Each written part must occur in `text`."""
    for written, meant in replacements:
        assert written in text, f"not in the page: {written}"
        text = text.replace(written, meant)
    return text


class Balancer:
    """A running load balancer. Its ports: one for STARTTLS, one for implicit TLS, and one for HTTP under TLS."""

    def __init__(self, ports, process):
        self.ports, self.process = ports, process


@contextlib.contextmanager
def running(command, host, ports, log):
    with open(log, "ab") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        end = time.monotonic() + DEADLINE
        for port in ports.values():
            while not is_open(host, port):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.02)
        yield Balancer(ports, process)
    finally:
        process.terminate()
        process.wait(DEADLINE)


def is_open(host, port):
    try:
        socket.create_connection((host, port), timeout=DEADLINE).close()
        return True
    except ConnectionRefusedError:
        return False


GREETING_CHECK = "option smtpchk EHLO smtp.example.com"


def haproxy(directory, relay, version=2, host="127.0.0.1", check=GREETING_CHECK, checks_every="1h"):
    """HAProxy in front of `relay`, listening on `host`.

    `check` is the option with which the backend for STARTTLS does its checks.
    """
    ports = {kind: free_port() for kind in PORTS}
    text = filled(
        shown("haproxy"), *((f"bind :{port}", f"bind {host}:{ports[kind]}") for kind, port in PORTS.items()),
        *((f"192.0.2.20:{port}", f"127.0.0.1:{relay.ports[kind]}") for kind, port in PORTS.items()),
        ("send-proxy-v2", "send-proxy" if version == 1 else "send-proxy-v2"),
        ("check-send-proxy", f"check-send-proxy inter {checks_every}"),
        (f"backend submission\n    {GREETING_CHECK}\n", f"backend submission\n    {check}\n"))
    config = directory / "haproxy.cfg"
    config.write_text(text)
    return running(
        [UNPACKED / "usr/sbin/haproxy", "-db", "-f", config], host, ports, directory / "haproxy.log")


def nginx(directory, relay):
    """nginx in front of `relay`."""
    ports = {kind: free_port() for kind in PORTS}
    stream = filled(
        shown("nginx"), *((f"listen {port};", f"listen {ports[kind]};") for kind, port in PORTS.items()),
        *((f"192.0.2.20:{port}", f"127.0.0.1:{relay.ports[kind]}") for kind, port in PORTS.items()))
    config = directory / "nginx.conf"
    config.write_text(
        f"load_module {UNPACKED}/usr/lib/nginx/modules/ngx_stream_module.so;\n"
        f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\n{stream}")
    return running(
        [UNPACKED / "usr/sbin/nginx", "-p", directory, "-c", config], "127.0.0.1", ports, directory / "nginx.log")
