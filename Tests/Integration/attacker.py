"""An attacker between an application and the relay. It removes STARTTLS from the offer, or shows a certificate of its own.

It accepts any key and any message, so that a client that does not notice the attack reveals its key.
"""

import base64
import re
import socketserver
import ssl
import threading

from relay import DEADLINE


class Attacker:
    """Listens on a port of its own. `certificate`: the two files with which it offers STARTTLS; None: it removes STARTTLS."""

    def __init__(self, certificate=None):
        self.received = b""
        self.under_tls = b""
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        attacker = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = DEADLINE

            def handle(self):
                try:
                    attacker.talk(self, context)
                except (OSError, ValueError):
                    pass

            def finish(self):
                try:
                    super().finish()
                except (OSError, ValueError):
                    pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler, bind_and_activate=True)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def talk(self, handler, context):
        reader, secure = handler.rfile, False

        def say(text):
            handler.connection.sendall(text.encode() + b"\r\n")

        def hear():
            line = reader.readline()
            self.received += line
            return line

        say("220 relay.example.com ESMTP")
        while line := hear():
            verb = line.strip().split(b" ")[0].upper()
            if verb in (b"EHLO", b"HELO"):
                offer = ["STARTTLS"] if context and not secure else ["AUTH PLAIN LOGIN"]
                say("250-relay.example.com\r\n250-8BITMIME\r\n250 " + offer[0])
            elif verb == b"STARTTLS":
                if not context or secure:
                    say("502 5.5.1 not offered")
                    continue
                say("220 go on")
                handler.connection = context.wrap_socket(handler.connection, server_side=True)
                reader, secure = handler.connection.makefile("rb"), True
            elif verb == b"AUTH":
                words = line.split()
                if len(words) == 2 and words[1].upper() == b"PLAIN":
                    say("334 ")
                    hear()
                elif words[1].upper() == b"LOGIN":
                    if len(words) == 2:
                        say("334 VXNlcm5hbWU6")
                        hear()
                    say("334 UGFzc3dvcmQ6")
                    hear()
                say("235 2.7.0 ok")
            elif verb == b"DATA":
                say("354 go on")
                while hear() not in (b".\r\n", b""):
                    pass
                say("250 2.0.0 ok")
            elif verb == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")

    def has(self, key):
        """Whether the attacker has received the key: in clear or in base64, by itself or within AUTH PLAIN's message."""
        words = re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", self.received)
        decoded = []
        for word in words:
            try:
                decoded.append(base64.b64decode(word + b"=" * (-len(word) % 4)))
            except ValueError:
                pass
        return key.encode() in b"\n".join([self.received, *decoded])
