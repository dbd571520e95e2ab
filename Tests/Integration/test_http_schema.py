"""schemathesis compares the server with its own description: it makes good and bad requests from that document."""

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

# The number of requests for each operation and kind of input. `SCHEMA_EXAMPLES=500` makes the long form of the test.
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

# No answer may be a server error. Status, header fields, type and body must be those of the document. A request that violates the
# schema must be refused. A request that follows it may be refused too: a schema can't describe every rule for an address or a
# base64 text.
ANSWERED = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A running relay, its base URL, a key whose limits don't matter here, and the document that the relay serves."""
    relay = Relay(tmp_path_factory.mktemp("schema"), HTTP).start()
    key = relay.create_key(scopes=("email:send", "email:batch", "email:webhooks", "email:templates", "email:domains"), per_second=100000)
    base = f"http://127.0.0.1:{relay.ports['http']}"
    answer = requests.get(base + "/v1/openapi.json", timeout=DEADLINE)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    yield relay, base, key, answer.json()
    status = relay.stop()
    assert status == 0, relay.log_text()
    assert key not in relay.log_text()


def test_the_served_openapi_document_is_valid_and_complete(served):
    _, _, _, document = served
    validate(document)
    found = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
        if method != "parameters"}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("operation, mode", [
    (operation, mode) for operation in OPERATIONS for mode in [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    # A request without parameters can't have a wrong one.
    if (operation, mode) not in [
        ("GET /v1/openapi.json", GenerationMode.NEGATIVE), ("GET /v1/email/webhooks", GenerationMode.NEGATIVE)]
])
def test_answers_conform_to_the_openapi_document(served, operation, mode):
    _, base, key, document = served
    # Each request has the key. Another test covers requests without a key.
    document = {name: value for name, value in document.items() if name != "security"}
    schema = schemathesis.openapi.from_dict(document)
    method, path = operation.split(" ")
    # A batch gets the status 200 even if all of its emails are wrong.
    is_refused = mode is GenerationMode.NEGATIVE and operation != "POST /v1/email/batch"
    names = ANSWERED + (["negative_data_rejection"] if is_refused else [])
    checks = CHECKS.get_by_names(names)
    session = requests.Session()
    # The session uses no proxy, and no key from a netrc file.
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
    """A well-formed id of the kind that the path needs."""
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
