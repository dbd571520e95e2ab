"""The server held to its own description, by schemathesis: requests made up from the document, good and bad ones."""

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from http_api import HTTP
from relay import DEADLINE, Relay

load_all_checks()

# Requests for each operation and kind of input. `SCHEMA_EXAMPLES=500` for the long form.
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "25"))

OPERATIONS = [
    "POST /v1/email/send", "POST /v1/email/batch", "GET /v1/email/messages", "GET /v1/email/messages/{id}",
    "POST /v1/email/messages/{id}/cancel", "GET /v1/openapi.json",
    "GET /v1/email/suppressions", "POST /v1/email/suppressions", "GET /v1/email/suppressions/{email}",
    "DELETE /v1/email/suppressions/{email}",
    "GET /v1/email/domains", "POST /v1/email/domains", "GET /v1/email/domains/{name}", "POST /v1/email/domains/{name}/verify",
    "GET /v1/email/webhooks", "POST /v1/email/webhooks", "GET /v1/email/webhooks/{id}", "PATCH /v1/email/webhooks/{id}",
    "DELETE /v1/email/webhooks/{id}", "POST /v1/email/webhooks/{id}/test",
    "POST /v1/email/webhooks/{id}/rotate-secret", "GET /v1/email/webhooks/{id}/deliveries",
    "GET /v1/email/templates", "POST /v1/email/templates", "GET /v1/email/templates/{id}", "PATCH /v1/email/templates/{id}",
    "DELETE /v1/email/templates/{id}", "GET /v1/email/templates/{id}/versions",
    "GET /v1/email/templates/{id}/versions/{version}", "POST /v1/email/templates/{id}/render",
    "POST /v1/email/templates/{id}/rollback", "GET /v1/email/tags",
]

# No answer is a server's failure; status, headers, type and body are those of the document; what breaks the schema is refused.
# A schema can't say all that makes an address or a base64 text, so what follows it may be refused nevertheless.
ANSWERED = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The base URL of a relay, a key without limits that matter, and the document that is served."""
    relay = Relay(tmp_path_factory.mktemp("schema"), HTTP).start()
    key = relay.create_key(scopes=("email:send", "email:batch", "email:webhooks", "email:templates", "email:domains"), per_second=100000)
    base = f"http://127.0.0.1:{relay.ports['http']}"
    answer = requests.get(base + "/v1/openapi.json", timeout=DEADLINE)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    yield relay, base, key, answer.json()
    status = relay.stop()
    assert status == 0, relay.log_text()
    assert key not in relay.log_text()


def test_what_is_served_is_a_description(served):
    _, _, _, document = served
    validate(document)
    found = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
        if method != "parameters"}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("operation, mode", [
    (operation, mode) for operation in OPERATIONS for mode in [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    # Nothing can be wrong with a request that has no parameters.
    if (operation, mode) not in [
        ("GET /v1/openapi.json", GenerationMode.NEGATIVE), ("GET /v1/email/webhooks", GenerationMode.NEGATIVE)]
])
def test_answers_are_those_of_the_document(served, operation, mode):
    _, base, key, document = served
    # Each request has the key: what comes without one has a test of its own.
    document = {name: value for name, value in document.items() if name != "security"}
    schema = schemathesis.openapi.from_dict(document)
    method, path = operation.split(" ")
    # A batch is answered, though all of its emails be wrong.
    is_refused = mode is GenerationMode.NEGATIVE and operation != "POST /v1/email/batch"
    names = ANSWERED + (["negative_data_rejection"] if is_refused else [])
    checks = CHECKS.get_by_names(names)
    session = requests.Session()
    # No proxy, and no key from a netrc file.
    session.trust_env = False
    strategy = schema[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def hold(case):
        case.call_and_validate(
            base_url=base, session=session, headers={"Authorization": f"Bearer {key}"}, checks=checks, timeout=DEADLINE)

    hold()


def identity(path):
    """An id of what the path is about."""
    return next((id for word, id in [
        ("webhooks", "wh_0123456789abcdefghjk"), ("templates", "tpl_0123456789abcdefghjk")] if word in path), "msg_06f1c4k9x2b7e")


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o != "GET /v1/openapi.json"])
@pytest.mark.parametrize("key", [None, "Bearer hk_live_nonsense", "Basic YTpi", "Bearer", ""])
def test_nothing_is_answered_without_a_key(served, operation, key):
    _, base, _, document = served
    method, path = operation.split(" ")
    headers = {} if key is None else {"Authorization": key}
    answer = requests.request(
        method, base + path.replace("{id}", identity(path)).replace("{version}", "1").replace("{name}", "example.com"),
        headers=headers, json={} if method in ("POST", "PATCH") else None,
        timeout=DEADLINE)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.json()["code"] in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
