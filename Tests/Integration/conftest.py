import tempfile

import pytest

import browser
from relay import Relay


@pytest.fixture(scope="module")
def relay():
    """A relay that the tests of a module share."""
    with tempfile.TemporaryDirectory(prefix="hiveku-relay-") as directory:
        relay = Relay(directory, {"submission.max_rate_delay": "0s"}).start()
        yield relay
        status = relay.stop()
        assert status == 0, relay.log_text()


@pytest.fixture
def own_relay(tmp_path):
    """Makes relays for one test, each with settings of its own. They are stopped at the end of the test."""
    made = []

    def make(settings=None, environment=None, start=True):
        directory = tmp_path / f"relay{len(made)}"
        directory.mkdir()
        relay = Relay(directory, settings, environment)
        made.append(relay)
        return relay.start() if start else relay

    yield make
    for relay in made:
        if relay.process is not None:
            relay.stop()


@pytest.fixture(scope="session")
def chromium():
    """A browser that all tests of a run share."""
    with browser.chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium_without_script():
    with browser.chromium(script=False) as driver:
        yield driver
