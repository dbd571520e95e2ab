"""A proxy in front of a PostgreSQL server. It understands PostgreSQL's protocol, and cuts connections around a COMMIT.

It reads these parts of the protocol (PostgreSQL's manual, "Frontend/Backend Protocol", "Message Formats"): the names of prepared
statements (Parse), which of them is bound (Bind), and the tags of completed commands (CommandComplete).
"""

import asyncio
import struct
import threading

from relay import DEADLINE, free_port

# The server answers a client that asks for TLS or GSSAPI with a single octet.
REQUESTS = (80877103, 80877104)


class CuttingProxy:
    """Passes connections on to a server. `cut` says which commits it interrupts.

    It only counts transactions that insert into the table named by `insertion`.
    """

    def __init__(self, server, insertion="INSERT INTO message "):
        self.server, self.insertion, self.port = server, insertion, free_port()
        # What remains to be done with the next commits: "before" or "after".
        self._plan, self.cuts = [], []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._listener = asyncio.run_coroutine_threadsafe(start, self._loop).result(DEADLINE)
        return self

    def __exit__(self, *_):
        async def end():
            self._listener.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    @property
    def url(self):
        return self.server.url().replace(f":{self.server.port}/", f":{self.port}/")

    def cut(self, *plan):
        """Sets what happens to the next commits, in this order.

        - `before`: the proxy does not pass the COMMIT on, and cuts the connection.
        - `after`: the server commits. The proxy does not pass its answer on, and cuts the connection.
        """
        assert not self._plan and set(plan) <= {"before", "after"}
        self.cuts = []
        self._plan = list(plan)

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection(self.server.address, self.server.port)
        session = _Session(self)
        ways = [asyncio.create_task(session.forward(reader, back)), asyncio.create_task(session.answer(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            # `abort` closes at once: octets that are not sent yet are dropped.
            for end in (writer, back):
                end.transport.abort()

    def next_cut(self, where):
        """Whether the current commit is to be cut at this point."""
        if not self._plan or self._plan[0] != where:
            return False
        self.cuts.append(self._plan.pop(0))
        return True

    @property
    def plans_after(self):
        return bool(self._plan) and self._plan[0] == "after"


class _Session:
    def __init__(self, proxy):
        self.proxy = proxy
        # The text of each prepared statement.
        self.statements = {}
        self.inserts = self.is_committing = False
        # Single octets that the server is about to send.
        self.octets = 0

    async def forward(self, reader, server):
        """Passes on what the client sends, until the connection ends or is to be cut."""
        while True:
            length = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
            is_request = struct.unpack("!I", body[:4])[0] in REQUESTS
            self.octets += is_request
            server.write(length + body)
            if not is_request:
                break
        while True:
            kind, length = await reader.readexactly(1), await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
            if kind == b"P":
                name, text = body.split(b"\0")[:2]
                self.statements[name] = text.decode()
            elif kind == b"B":
                text = self.statements[body.split(b"\0")[1]]
                if text.startswith("BEGIN"):
                    self.inserts = False
                elif text.lstrip().startswith(self.proxy.insertion):
                    self.inserts = True
                elif text == "COMMIT" and self.inserts:
                    if self.proxy.next_cut("before"):
                        # The server still gets what the client sent before the COMMIT.
                        await server.drain()
                        return
                    self.is_committing = self.proxy.plans_after
            server.write(kind + length + body)
            await server.drain()

    async def answer(self, server, writer):
        """Passes on what the server sends, until the connection ends or is to be cut."""
        while True:
            first = await server.readexactly(1)
            if self.octets:
                self.octets -= 1
                writer.write(first)
                continue
            length = await server.readexactly(4)
            body = await server.readexactly(struct.unpack("!I", length)[0] - 4)
            if self.is_committing and first == b"C" and body == b"COMMIT\0" and self.proxy.next_cut("after"):
                return
            writer.write(first + length + body)
            await writer.drain()
