"""The content of a directory after a power cut, computed from the system calls on the files in it.

The computation assumes only what POSIX and Linux promise. Octets are on the disk when a sync has returned 0 that began after their
write had ended. If a sync fails, its octets are lost until they are written again. Reads still show them, and later syncs succeed
nevertheless. The same holds for the names in a directory and the syncs of the directory.
"""

import re
from dataclasses import dataclass, field


@dataclass
class File:
    # The content on the disk.
    octets: bytearray = field(default_factory=bytearray)
    # The content that processes see.
    seen: bytearray = field(default_factory=bytearray)
    # (end of the write, from, to): writes without a sync. For a truncation, `from` and `to` are the new length of the file.
    dirty: list = field(default_factory=list)
    is_named: bool = False
    named_at: int = None

    def write(self, offset, data, at):
        self.seen[len(self.seen):] = bytes(max(0, offset - len(self.seen)))
        self.seen[offset:offset + len(data)] = data
        self.dirty.append((at, offset, offset + len(data)))

    def truncate(self, length, at):
        self.seen[length:] = bytes(max(0, length - len(self.seen)))
        self.dirty.append((at, length, length))

    def synced(self, began, worked):
        for at, begin, end in self.dirty:
            if at < began and worked:
                if begin == end:
                    del self.octets[end:]
                self.octets[len(self.octets):] = bytes(max(0, end - len(self.octets)))
                self.octets[begin:end] = self.seen[begin:end]
        self.dirty = [write for write in self.dirty if write[0] > began]


class PowerCut:
    def __init__(self, directory):
        """Begins with the files in the directory. All of their content is on the disk."""
        self.directory = str(directory)
        self.files = {
            str(path): File(bytearray(path.read_bytes()), bytearray(path.read_bytes()), is_named=True)
            for path in directory.rglob("*") if path.is_file()}

    def after(self, calls):
        for call in calls:
            if call.name == "openat":
                self._opened(call)
            elif call.name == "unlink" and call.result == 0:
                self.files.pop(re.search(r'"([^"]*)"', call.arguments)[1], None)
            elif call.path in self.files:
                self._on_file(self.files[call.path], call)
            elif call.name in ("fsync", "fdatasync"):
                self._directory_synced(call)
        return self

    def _opened(self, call):
        path = re.search(r'"([^"]*)"', call.arguments)[1]
        if call.result >= 0 and "O_CREAT" in call.arguments and path.startswith(self.directory):
            self.files.setdefault(path, File(named_at=call.end))

    def _on_file(self, file, call):
        if call.name in ("fsync", "fdatasync"):
            file.synced(call.begin, call.result == 0)
        elif call.result < 0:
            return
        elif call.name == "write":
            file.write(len(file.seen), call.octets[:call.result], call.end)
        elif call.name == "pwrite64":
            file.write(int(call.arguments.rpartition(",")[2]), call.octets[:call.result], call.end)
        elif call.name == "ftruncate":
            file.truncate(int(call.arguments.rpartition(",")[2]), call.end)

    def _directory_synced(self, call):
        for path, file in self.files.items():
            if path.rpartition("/")[0] == call.path and file.named_at is not None and file.named_at < call.begin:
                file.is_named = file.is_named or call.result == 0
                file.named_at = None

    def leave(self, directory):
        """Writes the content that is on the disk into `directory`."""
        for path, file in self.files.items():
            target = directory / path[len(self.directory):].lstrip("/")
            if file.is_named and not path.endswith("-shm"):
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(file.octets)
