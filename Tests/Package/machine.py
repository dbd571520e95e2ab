"""A Debian machine to install packages on: a minimal tree, with systemd as its first process.

It has its own file systems, processes, control groups and network (only a loopback interface). They are made with
unshare(1), which needs root. A package that is installed before the boot uses the network of this machine, so that apt can
fetch the package's dependencies.
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

# The longest time, in seconds, that any step may take. After it the test fails, so that no test hangs. It does not
# measure speed.
DEADLINE = 900

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The shell runs this script with the tree as $1. Devices are bind mounts, so that the machine can use only these
# devices.
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
    """The address from which apt on this machine gets the distribution."""
    for line in said("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE)", "Created-By: Packages").splitlines():
        release, component, site = line.split()
        if (release, component) == (codename, "main"):
            return site
    raise RuntimeError(f"apt's configuration names no source of {codename}")


def proxies():
    """Environment variables that make apt and debootstrap use the same proxies as apt on this machine."""
    named = said("apt-config", "shell", "http_proxy", "Acquire::http::Proxy", "https_proxy", "Acquire::https::Proxy")
    configured = dict(word.split("=", 1) for word in shlex.split(named))
    inherited = {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
    return {**inherited, **configured}


def minimal_tree():
    """A tar file with the smallest system that runs services, of this machine's release. It is made only once."""
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
        # Only the owner may enter a directory that was made for a test. Here all users need to enter it.
        for path in (self.tree.parent, self.tree):
            path.chmod(0o755)
        # There is no console to log in at.
        (self.tree / "etc/systemd/system/console-getty.service").symlink_to("/dev/null")

    # -- before the boot

    def prepare(self, command):
        """Runs a shell command in the tree, with this machine's network."""
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c",
             FURNISH + 'exec chroot "$1" env -i "${@:3}" sh -c "$2"', "bash", self.tree, command, f"PATH={PATH}",
             "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *[f"{k}={v}" for k, v in proxies().items()]],
            check=True, timeout=DEADLINE)

    # -- while the machine runs

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
        # Until systemd starts, the first process is the shell that prepares the tree.
        return next((int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"), None)

    def halt(self):
        if self.keeper is None:
            return
        # When unshare ends, the machine's first process is killed too (--kill-child), and with it every other process.
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
        """The path outside the machine of a path inside the machine."""
        return self.tree / str(path).lstrip("/")

    def stat(self, *paths):
        """The permissions and the owner of each path, as stat prints them."""
        return self.said("stat", "-c", "%a %U:%G", *paths).splitlines()

    @contextlib.contextmanager
    def network(self):
        """In this context, the sockets of this thread, and of processes that it starts, are in the machine's network."""
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
        """Waits until `condition` returns something true, and returns it."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {DEADLINE} s: {what}")
