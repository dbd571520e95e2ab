"""Exim as a client with a queue. It is unpacked beside the tests: nothing is installed, and no server starts by itself.

Exim needs the user that its package creates. This user exists in a mount namespace of its own, so the machine's users do not
change.
"""

import subprocess
from pathlib import Path

from relay import DEADLINE, ROOT, clean_environment

EXIM = ROOT / ".venv/clients/usr/sbin/exim4"

CONFIGURATION = """
primary_hostname = client.example
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
pid_file_path = {directory}/exim.pid
qualify_domain = example.com
keep_environment =
log_selector = +smtp_protocol_error
never_users =
begin routers
smarthost:
  driver = manualroute
  transport = relay
  route_list = * 127.0.0.1 byname
  self = send
begin transports
relay:
  driver = smtp
  port = {port}
  hosts_try_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {certificate}
  tls_verify_hosts = *
  tls_verify_cert_hostnames = :
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^apikey^{key}
"""


class Exim:
    def __init__(self, directory: Path, relay, key):
        self.directory = directory
        for name in ("spool", "log"):
            (directory / name).mkdir(mode=0o777)
            (directory / name).chmod(0o777)
        self.configuration = directory / "exim.conf"
        for name, line in (("passwd", "Debian-exim:x:8:8::/var/spool/exim4:/usr/sbin/nologin"), ("group", "Debian-exim:x:8:")):
            (directory / name).write_text(Path(f"/etc/{name}").read_text() + line + "\n")
        self.text = CONFIGURATION.format(
            directory=directory, port=relay.ports["smtp"], certificate=relay.certificate, key="{key}")
        self.use(key)

    def use(self, key):
        self.configuration.write_text(self.text.replace("{key}", key))
        self.configuration.chmod(0o644)

    def run(self, *arguments, **options):
        own_users = 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"'
        result = subprocess.run(
            ["unshare", "--mount", "sh", "-c", own_users, str(self.directory), str(EXIM), "-C", str(self.configuration),
             *arguments], capture_output=True, text=True, timeout=DEADLINE,
            env=clean_environment(), **options)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def inject(self, recipient, text):
        """Puts a message into Exim's queue, without an attempt to deliver it."""
        self.run("-odq", "-oi", "-f", "from@example.com", recipient, input=text)

    def deliver(self):
        """One run through the whole queue."""
        self.run("-qff")

    @property
    def queue(self):
        return int(self.run("-bpc"))

    @property
    def log(self):
        return "".join(file.read_text() for file in sorted((self.directory / "log").glob("*log")))
