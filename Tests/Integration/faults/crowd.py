"""Many connections that do not authenticate, in a process of their own: python crowd.py PORT COUNT DRIPPING.

The connections come at once, from 200 addresses. The first DRIPPING of them send an octet each second, and the others send nothing.
When each has been greeted, refused or closed, the program prints how many had which end. The connections stay open until standard
input ends.
"""

import json
import selectors
import socket
import sys
import threading

ADDRESSES = 200
# After so many seconds in which no connection receives anything, the program waits no longer.
TIMEOUT = 60
LINE = b"NOOP or anything\r\n"


def main(port, count, dripping):
    selector = selectors.DefaultSelector()
    heard = {}
    for number in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.bind((f"127.1.0.{number % ADDRESSES + 1}", 0))
        client.connect_ex(("127.0.0.1", port))
        heard[client] = b""
        selector.register(client, selectors.EVENT_READ)
        # Replies are read while the other connections are still being made.
        listen(selector, heard, 0)
    quiet_seconds = 0
    while quiet_seconds < TIMEOUT and not all(
            b"\r\n" in data or client.fileno() < 0 for client, data in heard.items()):
        quiet_seconds = 0 if listen(selector, heard, 1) else quiet_seconds + 1
    print(json.dumps({
        "greeted": sum(data.startswith(b"220 ") for data in heard.values()),
        "refused": sum(data.startswith(b"421 ") for data in heard.values()),
        "silent": sum(not data for data in heard.values())}), flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    clients = list(heard)[:dripping]
    place = 0
    while not ended.wait(1):
        for client in clients:
            try:
                client.send(LINE[place:place + 1])
            except OSError:
                pass
        place = (place + 1) % len(LINE)
        listen(selector, heard, 0)


def listen(selector, heard, timeout):
    """Reads what has arrived. Returns whether anything arrived."""
    events = selector.select(timeout)
    for key, _ in events:
        client = key.fileobj
        try:
            data = client.recv(4096)
        except OSError:
            data = b""
        heard[client] += data
        if not data:
            selector.unregister(client)
            client.close()
    return bool(events)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
