"""The 250 is sent only after the syncs of everything that the message needs have returned. The system calls show this."""

import re
import smtplib

import pytest

from relay import DEADLINE
from submit import send
from system_calls import calls, traced

MARK = "a mark that is nowhere else"
FILLER = ("z" * 70 + "\r\n") * 4000
MESSAGES = 5


@pytest.mark.parametrize("filler", ["", FILLER], ids=["small", "spooled"])
def test_250_comes_after_the_sync(own_relay, tmp_path, filler):
    # Without TLS, so that the trace shows the replies.
    relay = own_relay({"submission.plaintext_auth_networks": ["127.0.0.1/32"]}, start=False)
    traced(relay, tmp_path / "trace")
    key = relay.create_key(per_second=1_000_000)
    relay.start()
    ids = []
    with smtplib.SMTP("127.0.0.1", relay.ports["smtp"], timeout=DEADLINE) as smtp:
        smtp.login("apikey", key)
        for number in range(MESSAGES):
            code, text = send(smtp, f"From: from@example.com\r\n\r\n{MARK} {number}\r\n{filler}".encode())
            assert code == 250
            ids.append(re.search(r"queued as (\w+)", text)[1])
    assert relay.stop() == 0
    disk = Disk(relay, calls(tmp_path / "trace"))
    for number, message_id in enumerate(ids):
        reply, = [c for c in disk.calls if c.path.startswith("TCP") and f"queued as {message_id}".encode() in c.octets]
        mark = f"{MARK} {number}\r\n".encode()
        if filler:
            file = f"{disk.spool}/{message_id}"
            writes = disk.writes(file)
            assert any(mark in write.octets for write in writes)
            file_synced = disk.synced(file, after=writes[-1])
            directory_synced = disk.synced(disk.spool, after=file_synced)
            row, *_ = [write for write in disk.writes(disk.log) if message_id.encode() in write.octets]
            assert directory_synced.end < row.begin
        else:
            row, *_ = [write for write in disk.writes(disk.log) if mark in write.octets]
        assert disk.synced(disk.log, after=disk.commit_of(row)).end < reply.begin


def test_new_files_are_durable_before_the_first_message(own_relay, tmp_path):
    """The names of the database, its log and the spool are in a directory, which must be synced too."""
    relay = own_relay({"submission.plaintext_auth_networks": ["127.0.0.1/32"]}, start=False)
    traced(relay, tmp_path / "trace")
    relay.start()
    # Another process makes the key. It syncs only the log.
    key = relay.create_key()
    with smtplib.SMTP("127.0.0.1", relay.ports["smtp"], timeout=DEADLINE) as smtp:
        smtp.login("apikey", key)
        assert send(smtp, b"From: from@example.com\r\n\r\nfirst\r\n")[0] == 250
    assert relay.stop() == 0
    disk = Disk(relay, calls(tmp_path / "trace"))
    reply, = [call for call in disk.calls if call.path.startswith("TCP") and b"queued as " in call.octets]
    for path in [disk.database, disk.log, disk.spool]:
        made, *_ = [call for call in disk.calls if call.result >= 0 and (
            call.name == "mkdir" and f'"{path}"' in call.arguments
            or call.name == "openat" and f'"{path}"' in call.arguments and "O_CREAT" in call.arguments)]
        assert disk.synced(str(relay.directory), after=made).end < reply.begin, path


class Disk:
    """The calls on the relay's files in a trace."""

    def __init__(self, relay, found):
        self.calls = found
        self.database = str(relay.directory / "relay.db")
        self.log = self.database + "-wal"
        self.spool = self.database + ".spool"

    def writes(self, path):
        return [call for call in self.calls if call.path == path and call.name in ("write", "pwrite64")]

    def synced(self, path, after):
        """The first sync of `path` that began after the call `after` had ended."""
        found = [call for call in self.calls if call.path == path and call.name in ("fsync", "fdatasync")
                 and call.begin > after.end]
        assert found, f"no sync of {path} after {after}"
        assert found[0].result == 0
        return found[0]

    def commit_of(self, page):
        """The last write of the transaction that wrote `page` to the log.

        In the log (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), each page has a header of 24 octets before it.
        Octets 4 to 7 of the header are 0, except for a transaction's last page. There they are the size of the database.
        """
        writes = self.writes(self.log)
        for header, content in zip(writes, writes[1:]):
            if len(header.octets) == 24 and content.begin >= page.begin and header.octets[4:8] != bytes(4):
                return content
        raise AssertionError("no commit")
