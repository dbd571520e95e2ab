"""A Debian machine to install packages on: a minimal tree, with systemd as its first process.

It has file systems, processes, control groups and a network (of nothing but a loopback interface) of its own, made with
unshare(1); needs root. Installing before it boots has the network of this machine, for apt to fetch what a package depends on.
"""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".build/package"

# How long anything may take before a test fails rather than hangs. Not a measure of speed.
DEADLINE = 900

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Run with the tree as $1. Devices by bind mounts, so that the machine reaches none but these.
FURNISH = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for device in null zero full random urandom tty; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
done
mkdir -m 1777 "$1/dev/shm"
mkdir "$1/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
ln -s /proc/self/fd "$1/dev/fd"
"""

BOOT = FURNISH + """
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
# Not a chroot: the kernel refuses user namespaces in one, and the service asks for one (PrivateUsers=).
cd "$1"
pivot_root . mnt
exec chroot . sh -c 'umount -l /mnt && exec env -i container=test PATH=%s /lib/systemd/systemd'
""" % PATH


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def os_release(name):
    return said("sh", "-c", f". /etc/os-release && echo ${name}")


def mirror(codename):
    """Where apt on this machine gets the distribution from."""
    for line in said("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE)", "Created-By: Packages").splitlines():
        release, component, site = line.split()
        if (release, component) == (codename, "main"):
            return site
    raise RuntimeError(f"apt's configuration names no source of {codename}")


def proxies():
    """The environment in which apt and debootstrap go the way that apt goes on this machine."""
    named = said("apt-config", "shell", "http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy")
    configured = dict(word.split("=", 1) for word in shlex.split(named))
    inherited = {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
    return {**inherited, **configured}


def minimal_tree():
    """A tar file with the smallest system that runs services, of this machine's release; made once."""
    codename, architecture = os_release("VERSION_CODENAME"), said("dpkg", "--print-architecture")
    archive = CACHE / f"{codename}-{architecture}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part")
        with tempfile.TemporaryDirectory(prefix="hiveku-relay-tree-") as directory:
            subprocess.run(
                ["debootstrap", "--variant=minbase", "--include=systemd", codename, directory, mirror(codename)], check=True,
                env={**os.environ, **proxies()}, stdout=subprocess.DEVNULL)
            subprocess.run(["tar", "-C", directory, "-cf", part, "."], check=True)
        part.rename(archive)
    return archive


class Machine:
    def __init__(self, directory):
        self.tree = Path(directory) / "tree"
        self.tree.mkdir()
        self.keeper = None
        subprocess.run(["tar", "-C", self.tree, "-xpf", minimal_tree()], check=True)
        # Directories made for tests are their owner's alone; here all users have to get in.
        for path in (self.tree.parent, self.tree):
            path.chmod(0o755)
        # There is no console to log in at.
        (self.tree / "etc/systemd/system/console-getty.service").symlink_to("/dev/null")

    # -- as long as it has not booted

    def prepare(self, command):
        """Runs a shell command in the tree, with this machine's network."""
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c",
             FURNISH + 'exec chroot "$1" env -i "${@:3}" sh -c "$2"', "bash", self.tree, command, f"PATH={PATH}",
             "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *[f"{k}={v}" for k, v in proxies().items()]],
            check=True, timeout=DEADLINE)

    # -- the machine running

    def boot(self):
        groups = next(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2")
        own = Path("/" + Path("/proc/self/cgroup").read_text().split("0::/", 1)[1].splitlines()[0])
        self.group = Path(groups) / own.relative_to("/") / f"hiveku-relay-machine-{os.getpid()}"
        self.group.mkdir()
        self.keeper = subprocess.Popen(
            ["bash", "-c", 'echo $$ > "$3/cgroup.procs" && exec unshare --mount --pid --net --uts --ipc --cgroup --fork '
             '--kill-child bash -c "$1" bash "$2"', "bash", BOOT, self.tree, self.group], stdin=subprocess.DEVNULL)
        self.first = self.wait_until(self._first_process, "a first process")
        self.wait_until(
            lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
            "the machine to be up")

    def _first_process(self):
        children = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()
        # Before that it is the shell that furnishes the tree.
        return next((int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"), None)

    def halt(self):
        if self.keeper is None:
            return
        # unshare takes the first process with it, and that every other.
        self.keeper.send_signal(signal.SIGKILL)
        self.keeper.wait(DEADLINE)
        self.keeper = None
        self.wait_until(lambda: "populated 0" in (self.group / "cgroup.events").read_text(), "the machine to be off")
        for group in sorted(self.group.glob("**/"), reverse=True):
            group.rmdir()

    def run(self, *command, user=None, check=True, input=None, environment=None):
        if user:
            command = ["runuser", "-u", user, "--", *command]
        variables = {"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **(environment or {})}
        result = subprocess.run(
            ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd", "env", "-i",
             *[f"{name}={value}" for name, value in variables.items()], *map(str, command)],
            capture_output=True, text=True, timeout=DEADLINE, input=input)
        if check:
            assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def said(self, *command, **options):
        return self.run(*command, **options).stdout.strip()

    def path(self, path):
        """A path of the machine, as it is reached from here."""
        return self.tree / str(path).lstrip("/")

    def stat(self, *paths):
        """Permissions and owner of each, as stat prints them."""
        return self.said("stat", "-c", "%a %U:%G", *paths).splitlines()

    @contextlib.contextmanager
    def network(self):
        """Sockets made meanwhile, by this thread and by processes that it starts, are in the machine's network."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(namespace):
            if libc.setns(namespace.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.first}/ns/net") as there:
            enter(there)
            try:
                yield
            finally:
                enter(here)

    def wait_until(self, condition, what):
        """Until `condition` returns something true, which is returned."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {DEADLINE} s: {what}")
