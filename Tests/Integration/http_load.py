"""Many clients of the HTTP API at once. Each keeps a raw connection open, and notes the answers and the times of its requests."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass

from relay import DEADLINE

_numbers = itertools.count()


@dataclass
class Request:
    """One request as its client saw it."""
    # The time just before its last octet was sent.
    ended_at: float = 0
    status: int = 0
    answer: dict = None

    @property
    def id(self):
        """The relay's id of the email, if it was accepted."""
        return self.answer["messageId"].removeprefix("msg_") if self.status == 200 else None

    @property
    def code(self):
        return None if self.status == 200 else self.answer["code"]


class WebClient:
    def __init__(self, reader, writer, key, requests):
        self.reader, self.writer, self.key, self.requests = reader, writer, key, requests

    @classmethod
    async def connect(cls, relay, key, requests, context):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", relay.ports["https"], ssl=context, server_hostname="localhost")
        return cls(reader, writer, key, requests)

    def _octets(self, email):
        number = next(_numbers)
        body = json.dumps({"from": "from@example.com", "to": "to@example.net", "subject": f"web {number}",
                           "text": f"number {number}", **(email or {})}).encode()
        return (f"POST /v1/email/send HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {self.key}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

    async def begin(self, email=None):
        """Sends a request without its last octet. Returns True, because load.Client.begin returns whether it succeeded."""
        octets = self._octets(email)
        self.writer.write(octets[:-1])
        self.rest = octets[-1:]
        return True

    async def end(self):
        request = Request()
        self.requests.append(request)
        request.ended_at = time.monotonic()
        self.writer.write(self.rest)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        status, *fields = head.decode().split("\r\n")
        request.status = int(status.split()[1])
        length = next(int(field.split(":")[1]) for field in fields if field.lower().startswith("content-length:"))
        request.answer = json.loads(await asyncio.wait_for(self.reader.readexactly(length), DEADLINE))
        return request

    async def send(self, email=None):
        await self.begin(email)
        return await self.end()

    async def send_until_refused(self):
        while (await self.send()).status == 200:
            pass

    def close(self):
        self.writer.transport.abort()
