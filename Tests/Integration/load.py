"""Many fast clients at once. Each pipelines on a raw connection, and notes the replies and the times of its messages."""

import asyncio
import base64
import itertools
import re
import ssl
import time
from dataclasses import dataclass, field, replace

from relay import DEADLINE

_numbers = itertools.count()


@dataclass
class Sent:
    """One message as its client saw it."""
    number: int
    key: str
    recipients: int
    content: bytes
    # The time just before the end of its data was sent.
    ended_at: float = 0
    reply: str = ""

    @property
    def subject(self):
        return f"load {self.number}"

    @property
    def body(self):
        return self.content or f"number {self.number}\r\n".encode()

    @property
    def id(self):
        """The relay's id of the message, if it was accepted."""
        match = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9a-z]{13})", self.reply)
        return match[1] if match else None


@dataclass
class Ledger:
    """The replies that clients got, in the order of their messages."""
    sent: list = field(default_factory=list)
    # Refusals that clients got before they could send a message.
    refusals: list = field(default_factory=list)

    @property
    def accepted(self):
        return [message for message in self.sent if message.id]


class Client:
    """A connection that has authenticated."""

    def __init__(self, reader, writer, key, ledger):
        self.reader, self.writer, self.key, self.ledger = reader, writer, key, ledger

    @classmethod
    async def connect(cls, relay, key, ledger, context=None):
        context = context or trusting(relay)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", relay.ports["smtps"], ssl=context, server_hostname="localhost")
        client = cls(reader, writer, key, ledger)
        assert (await client.reply()).startswith("220 ")
        response = base64.b64encode(b"\0apikey\0" + key.encode()).decode()
        client.write(f"HELO load\r\nAUTH PLAIN {response}\r\n")
        assert (await client.reply()).startswith("250 ")
        answer = await client.reply()
        if not answer.startswith("235 "):
            client.close()
            raise PermissionError(answer)
        return client

    def write(self, text):
        self.writer.write(text.encode())

    async def reply(self):
        """The last line of the next reply; empty when the connection is gone."""
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), DEADLINE)
            except (ConnectionError, ssl.SSLError):
                line = b""
            if line[3:4] != b"-":
                return line.decode().rstrip("\r\n")

    async def begin(self, recipients=1):
        """Sends the envelope and DATA. Returns whether the relay now waits for the data."""
        self.write(self._envelope(recipients))
        return await self._begun(recipients)

    def _envelope(self, recipients):
        paths = "".join(f"RCPT TO:<to{i}@example.net>\r\n" for i in range(recipients))
        return f"MAIL FROM:<from@example.com>\r\n{paths}DATA\r\n"

    async def _begun(self, recipients):
        replies = [await self.reply() for _ in range(recipients + 2)]
        refused = next((reply for reply in replies if not reply.startswith(("250 ", "354 "))), None)
        if refused is not None:
            self.ledger.refusals.append(refused)
        return refused is None

    def _end(self, message):
        self.ledger.sent.append(message)
        head = (f"From: from@example.com\r\nSubject: {message.subject}\r\n"
                f"Message-ID: <load.{message.number}@example.com>\r\n\r\n")
        self.writer.write(head.encode() + message.body)
        message.ended_at = time.monotonic()

    async def end(self, recipients=1, content=b"", again=None):
        """Sends the data of a begun message. Returns the message with its reply. `again`: a message to send a second time."""
        message = replace(again, reply="") if again else Sent(next(_numbers), self.key, recipients, content)
        self._end(message)
        self.write(".\r\n")
        message.reply = await self.reply()
        return message

    async def send(self, recipients=1, content=b"", again=None):
        """Sends a whole message. Returns None if it was refused before its data."""
        recipients = again.recipients if again else recipients
        return await self.end(recipients, content, again) if await self.begin(recipients) else None

    async def send_until_refused(self, recipients=1):
        """Sends one message after the other. Each envelope is in the same packet as the end of the message before."""
        if not await self.begin(recipients):
            return
        while True:
            message = Sent(next(_numbers), self.key, recipients, b"")
            self._end(message)
            self.write(".\r\n" + self._envelope(recipients))
            message.reply = await self.reply()
            if not await self._begun(recipients) or not message.id:
                return

    def close(self):
        self.writer.transport.abort()


def trusting(relay):
    return ssl.create_default_context(cafile=str(relay.certificate))


async def run(*arguments):
    """Runs a command of the relay while clients are at work. Returns the time at which the command returned."""
    relay, *words = arguments
    from relay import BINARY, clean_environment
    process = await asyncio.create_subprocess_exec(
        BINARY, *words, "--config", str(relay.config), env=clean_environment(relay.environment),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    returned_at = time.monotonic()
    assert process.returncode == 0, (words, out, errors)
    return returned_at
