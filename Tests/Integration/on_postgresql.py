#!/usr/bin/env python3
"""Runs tests of this directory with relays on PostgreSQL: both stores must keep the same promises. Arguments go to pytest."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from postgresql import Server

ROOT = Path(__file__).resolve().parents[2]
HERE = "Tests/Integration"
# Tests in which a message, an event or a request goes its whole way. The other tests ask nothing of the store that these do not.
FILES = ["test_dialogues.py", "test_repeats.py", "test_live.py", "test_http.py", "test_revocation.py", "test_what_became.py",
         "test_webhooks.py", "test_suppressions.py", "test_sender_reports.py"]
# This test writes to an SQLite file.
NOT_HERE = "not test_messages_accepted_by_an_older_relay_are_recognized_for_a_day"


def main():
    with tempfile.TemporaryDirectory(prefix="hiveku-relay-postgresql-") as directory:
        with Server(directory, settings={"max_connections": 500}) as server:
            # The role `relay` makes a database for each relay.
            server.psql("ALTER ROLE relay CREATEDB", "postgres")
            command = [sys.executable, "-m", "pytest", *[f"{HERE}/{name}" for name in FILES]]
            command += ["-k", NOT_HERE]
            environment = {**os.environ, "RELAY_TEST_POSTGRESQL": server.url("postgres")}
            return subprocess.run(command + sys.argv[1:], env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
