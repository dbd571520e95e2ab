extension OpenAPIDocument {
    /// The paths below `/v1/email/webhooks`, each followed by a comma.
    static let webhookPaths = #"""
            "/v1/email/webhooks": {
              "get": {
                "operationId": "listWebhooks",
                "tags": ["Webhooks"],
                "summary": "List the key's webhooks in the order of their creation",
                "description": "Requires the scope `email:webhooks`. A key has at most 20 webhooks, so there is only one page.",
                "responses": {
                  "200": {
                    "description": "The webhooks.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookPage"}}}
                  },
                  \#(refusals())
                }
              },
              "post": {
                "operationId": "createWebhook",
                "tags": ["Webhooks"],
                "summary": "Create a webhook",
                "description": "Requires the scope `email:webhooks`. The webhook receives events about the messages of the key that creates it. Only this answer contains `signing_secret`.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/NewWebhook"},
                      "example": {"url": "https://app.example.com/hooks/email", "events": ["bounce", "complaint"]}
                    }
                  }
                },
                "responses": {
                  "201": {
                    "description": "The webhook, with its secret.",
                    "headers": {
                      "Location": {"description": "The path of the webhook.", "schema": {"type": "string"}, "example": "/v1/email/webhooks/wh_0123456789abcdefghjk"}
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookWithSecret"}}}
                  },
                  \#(refusals(reading: .body, conflict: "WebhookConflict"))
                }
              }
            },
            "/v1/email/webhooks/{id}": {
              "parameters": [{"$ref": "#/components/parameters/WebhookID"}],
              "get": {
                "operationId": "getWebhook",
                "tags": ["Webhooks"],
                "summary": "Show one of the key's webhooks, with its statistics",
                "description": "Requires the scope `email:webhooks`.",
                "responses": {
                  "200": {
                    "description": "The webhook.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookWithStatistics"}}}
                  },
                  \#(refusals(notFound: "WebhookNotFound"))
                }
              },
              "patch": {
                "operationId": "changeWebhook",
                "tags": ["Webhooks"],
                "summary": "Change a webhook",
                "description": "Requires the scope `email:webhooks`. Fields that are missing or null stay as they are. Events that already wait are sent to the webhook as it is when they are sent.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/WebhookChange"},
                      "example": {"enabled": true}
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The webhook as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Webhook"}}}
                  },
                  \#(refusals(reading: .body, notFound: "WebhookNotFound"))
                }
              },
              "delete": {
                "operationId": "deleteWebhook",
                "tags": ["Webhooks"],
                "summary": "Delete a webhook and the events that wait for it",
                "description": "Requires the scope `email:webhooks`.",
                "responses": {
                  "204": {"description": "The webhook is deleted."},
                  \#(refusals(notFound: "WebhookNotFound"))
                }
              }
            },
            "/v1/email/webhooks/{id}/test": {
              "parameters": [{"$ref": "#/components/parameters/WebhookID"}],
              "post": {
                "operationId": "testWebhook",
                "tags": ["Webhooks"],
                "summary": "Send a test event to a webhook",
                "description": "Requires the scope `email:webhooks`. The event has the type `test`, and is sent, signed and retried like any other. The webhook's deliveries show the result.",
                "responses": {
                  "202": {
                    "description": "The event is queued.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookTest"}}}
                  },
                  \#(refusals(notFound: "WebhookNotFound", conflict: "WebhookConflict"))
                }
              }
            },
            "/v1/email/webhooks/{id}/rotate-secret": {
              "parameters": [{"$ref": "#/components/parameters/WebhookID"}],
              "post": {
                "operationId": "rotateWebhookSecret",
                "tags": ["Webhooks"],
                "summary": "Give a webhook a new secret",
                "description": "Requires the scope `email:webhooks`. For 24 hours `webhook-signature` has a signature with each of the two secrets; `X-Hiveku-Signature` uses the new one. Only this answer contains `signing_secret`.",
                "responses": {
                  "200": {
                    "description": "The webhook, with its new secret.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookWithNewSecret"}}}
                  },
                  \#(refusals(notFound: "WebhookNotFound"))
                }
              }
            },
            "/v1/email/webhooks/{id}/deliveries": {
              "parameters": [{"$ref": "#/components/parameters/WebhookID"}],
              "get": {
                "operationId": "listWebhookDeliveries",
                "tags": ["Webhooks"],
                "summary": "List the events that were sent to a webhook or wait for it, newest first",
                "description": "Requires the scope `email:webhooks`. Events are kept for 7 days.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "The number of events on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of events.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookDeliveryPage"}}}
                  },
                  \#(refusals(reading: .parameters, notFound: "WebhookNotFound"))
                }
              }
            },
        """#

    static let webhookParameters = #"""
              "WebhookID": {
                "name": "id", "in": "path", "required": true,
                "schema": {"$ref": "#/components/schemas/WebhookID"}
              },
        """#

    static let webhookResponses = #"""
              \#(problem("WebhookNotFound", "The key has no such webhook.")),
              \#(problem("WebhookConflict", "The key already has 20 webhooks, the webhook is disabled, or many events wait for it.")),
        """#

    static let webhookSchemas = #"""
              "WebhookID": {"type": "string", "pattern": "^wh_[0-9a-hj-km-np-tv-z]{20}$", "examples": ["wh_0123456789abcdefghjk"]},
              "WebhookURL": {
                "type": "string", "minLength": 9, "maxLength": 2048, "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$",
                "description": "The URL that events are sent to: https, without a user name or fragment, at a public address. Redirects are not followed. `http` and private addresses are allowed only in networks that the operator names in `webhooks.private_networks`.",
                "examples": ["https://app.example.com/hooks/email"]
              },
              "WebhookEvents": {
                "type": "array", "minItems": 1, "maxItems": 40,
                "items": {"type": "string", "enum": ["delivery", "bounce", "complaint", "sent", "delay", "reject", "failed", "suppressed", "*"]},
                "description": "`*`: all. There are no events `open` and `click`: the relay does not change messages to track their readers."
              },
              "WebhookTags": {
                "type": "array", "maxItems": 40, "items": {"$ref": "#/components/schemas/Tag"},
                "description": "The webhook receives events only about messages that have at least one of these tags; without tags, about all messages. At most 10 different tags."
              },
              "NewWebhook": {
                "type": "object",
                "description": "A field that is null counts as missing. A field that is not listed here is refused.",
                "additionalProperties": false,
                "required": ["url"],
                "properties": {
                  "url": {"$ref": "#/components/schemas/WebhookURL"},
                  "events": {"oneOf": [{"$ref": "#/components/schemas/WebhookEvents"}, {"type": "null"}]},
                  "tags": {"oneOf": [{"$ref": "#/components/schemas/WebhookTags"}, {"type": "null"}]},
                  "enabled": {"type": ["boolean", "null"], "default": true}
                }
              },
              "WebhookChange": {
                "type": "object",
                "description": "A field that is null counts as missing. A field that is not listed here is refused.",
                "additionalProperties": false,
                "properties": {
                  "url": {"oneOf": [{"$ref": "#/components/schemas/WebhookURL"}, {"type": "null"}]},
                  "events": {"oneOf": [{"$ref": "#/components/schemas/WebhookEvents"}, {"type": "null"}]},
                  "tags": {"oneOf": [{"$ref": "#/components/schemas/WebhookTags"}, {"type": "null"}]},
                  "enabled": {"type": ["boolean", "null"]}
                }
              },
              "Webhook": {
                "type": "object",
                "required": ["id", "url", "events", "tags", "enabled", "disabled_because", "created_at"],
                "properties": {
                  "id": {"$ref": "#/components/schemas/WebhookID"},
                  "url": {"type": "string"},
                  "events": {"$ref": "#/components/schemas/WebhookEvents"},
                  "tags": {"$ref": "#/components/schemas/WebhookTags"},
                  "enabled": {"type": "boolean"},
                  "disabled_because": {"type": ["string", "null"], "description": "Why the relay has disabled it: every request failed for 24 hours, or the receiver answered 410."},
                  "created_at": {"type": "string", "format": "date-time"}
                }
              },
              "SigningSecret": {
                "type": "string", "pattern": "^whsec_[A-Za-z0-9+/]+=*$",
                "description": "The secret of Standard Webhooks: base64 after `whsec_`. For `X-Hiveku-Signature` the key is this whole text."
              },
              "WebhookWithSecret": {
                "allOf": [
                  {"$ref": "#/components/schemas/Webhook"},
                  {"type": "object", "required": ["signing_secret"], "properties": {"signing_secret": {"$ref": "#/components/schemas/SigningSecret"}}}
                ]
              },
              "WebhookWithNewSecret": {
                "allOf": [
                  {"$ref": "#/components/schemas/WebhookWithSecret"},
                  {
                    "type": "object", "required": ["previous_secret_until"],
                    "properties": {"previous_secret_until": {"type": "string", "format": "date-time", "description": "The time until which the previous secret also signs."}}
                  }
                ]
              },
              "WebhookWithStatistics": {
                "allOf": [
                  {"$ref": "#/components/schemas/Webhook"},
                  {"type": "object", "required": ["statistics"], "properties": {"statistics": {"$ref": "#/components/schemas/WebhookStatistics"}}}
                ]
              },
              "WebhookPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Webhook"}},
                  "next_cursor": {"type": "null"}
                }
              },
              "WebhookStatistics": {
                "type": "object",
                "required": ["calls_24h", "delivered_24h", "success_rate_24h", "calls_7d", "delivered_7d", "success_rate_7d", "latency_ms", "waiting", "last_success", "last_failure"],
                "properties": {
                  "calls_24h": {"type": "integer", "minimum": 0},
                  "delivered_24h": {"type": "integer", "minimum": 0},
                  "success_rate_24h": {"type": ["number", "null"], "minimum": 0, "maximum": 1, "description": "null: there were no events."},
                  "calls_7d": {"type": "integer", "minimum": 0},
                  "delivered_7d": {"type": "integer", "minimum": 0},
                  "success_rate_7d": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                  "latency_ms": {"type": ["integer", "null"], "minimum": 0, "description": "The receiver's average response time over 24 hours."},
                  "waiting": {"type": "integer", "minimum": 0, "description": "Events that wait for their first or next attempt."},
                  "last_success": {"oneOf": [{"$ref": "#/components/schemas/WebhookDelivery"}, {"type": "null"}]},
                  "last_failure": {"oneOf": [{"$ref": "#/components/schemas/WebhookDelivery"}, {"type": "null"}]}
                }
              },
              "WebhookDelivery": {
                "type": "object",
                "required": ["id", "event_id", "type", "status", "attempts", "created_at", "next_attempt_at", "last_attempt_at", "duration_ms", "request_body", "response_status", "response_body", "error"],
                "properties": {
                  "id": {"type": "string"},
                  "event_id": {"type": "string", "pattern": "^evt_", "description": "The request's `webhook-id`."},
                  "type": {"type": "string"},
                  "status": {"enum": ["waiting", "delivered", "failed"]},
                  "attempts": {"type": "integer", "minimum": 0},
                  "created_at": {"type": "string", "format": "date-time"},
                  "next_attempt_at": {"type": ["string", "null"], "format": "date-time"},
                  "last_attempt_at": {"type": ["string", "null"], "format": "date-time"},
                  "duration_ms": {"type": ["integer", "null"], "minimum": 0, "description": "The duration of the last attempt."},
                  "request_body": {"type": "string", "description": "The document that was sent."},
                  "response_status": {"type": ["integer", "null"], "description": "null: there was no response."},
                  "response_body": {"type": ["string", "null"], "description": "The first 1,024 octets of the response."},
                  "error": {"type": ["string", "null"], "description": "Why there was no response to the last attempt."}
                }
              },
              "WebhookDeliveryPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/WebhookDelivery"}},
                  "next_cursor": {"type": ["string", "null"]}
                }
              },
              "WebhookTest": {
                "type": "object",
                "required": ["event_id", "type", "status"],
                "properties": {
                  "event_id": {"type": "string", "pattern": "^evt_"},
                  "type": {"const": "test"},
                  "status": {"const": "queued"}
                }
              },
        """#
}
