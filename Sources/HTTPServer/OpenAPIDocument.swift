/// The answer to `GET /v1/openapi.json`: the API in OpenAPI 3.1.
///
/// It is a literal in the program, because the program is a single file. Tests compare the document with the OpenAPI
/// specification, and with the words and limits in the sources. They also compare the server with the document.
enum OpenAPIDocument {
    /// The document in JSON.
    static let text = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Hiveku Relay",
            "version": "1",
            "summary": "Sends email by HTTP, with the API keys, limits and queue of the SMTP relay.",
            "description": "Every request except the one for this document needs an API key: `Authorization: Bearer hk_live_…`. A test key gets the same answers as a live one, but its mail is not sent. Errors are problem documents (RFC 9457): `code` is a stable word, `detail` says what to change."
          },
          "servers": [{"url": "/"}],
          "security": [{"key": []}],
          "tags": [
            {"name": "Sending", "description": "Emails are queued, and the relay sends them."},
            {"name": "Messages", "description": "The key's emails and their outcome."},
            {"name": "Suppressions", "description": "Addresses to which no mail is sent."},
            {"name": "Domains", "description": "Domains to send from, and the DNS records that they need."},
            {"name": "Webhooks", "description": "URLs that receive events about emails."},
            {"name": "Templates", "description": "Emails with placeholders, stored under a name."},
            {"name": "API", "description": "The API itself."}
          ],
          "paths": {
            "/v1/email/send": {
              "post": {
                "operationId": "sendEmail",
                "tags": ["Sending"],
                "summary": "Send an email",
                "description": "Requires the scope `email:send`. The answer is sent when the email is on disk.",
                "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/Email"},
                      "examples": {
                        "text": {
                          "summary": "Text only",
                          "value": {
                            "from": "Acme <hello@example.com>",
                            "to": "ann@example.net",
                            "subject": "Your order",
                            "text": "Thank you for your order."
                          }
                        },
                        "everything": {
                          "summary": "Every field",
                          "value": {
                            "from": "Acme <hello@example.com>",
                            "to": ["Ann <ann@example.net>", "bob@example.net"],
                            "cc": "carol@example.net",
                            "bcc": ["archive@example.com"],
                            "reply_to": "support@example.com",
                            "subject": "Your order",
                            "html": "<p>Thank you for your order. <img src=\"cid:logo\"></p>",
                            "text": "Thank you for your order.",
                            "attachments": [
                              {"filename": "terms.txt", "content": "VGhhbmtzLgo="},
                              {"filename": "logo.png", "content": "iVBORw0KGgo=", "content_type": "image/png", "content_id": "logo"}
                            ],
                            "tags": ["orders"],
                            "headers": {"X-Order": "1017"},
                            "scheduled_at": "2026-12-01T09:00:00Z",
                            "idempotency_key": "order-1017"
                          }
                        },
                        "template": {
                          "summary": "Made from a template",
                          "value": {
                            "to": "ann@example.net",
                            "template_id": "tpl_0123456789abcdefghjk",
                            "variables": {"order": {"number": 1017}, "name": "Ann"}
                          }
                        }
                      }
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The email is queued, or waits for its scheduled time.",
                    "headers": {
                      "RateLimit": {"$ref": "#/components/headers/RateLimit"},
                      "RateLimit-Policy": {"$ref": "#/components/headers/RateLimitPolicy"},
                      "Idempotent-Replayed": {"$ref": "#/components/headers/IdempotentReplayed"}
                    },
                    "content": {
                      "application/json": {
                        "schema": {"$ref": "#/components/schemas/Accepted"},
                        "example": {"messageId": "msg_06f1c4k9x2b7e", "status": "queued"}
                      }
                    }
                  },
                  \#(refusals(reading: .body))
                }
              }
            },
            "/v1/email/batch": {
              "post": {
                "operationId": "sendBatch",
                "tags": ["Sending"],
                "summary": "Send up to 100 emails",
                "description": "Requires the scope `email:batch`. Each email is checked and queued separately; one that fails does not stop the others. The limits per second and per day admit a batch as a whole or not at all, so it can be sent again after a 429.",
                "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/Batch"},
                      "example": [
                        {"from": "hello@example.com", "to": "ann@example.net", "subject": "Hello, Ann", "text": "Hello."},
                        {"from": "hello@example.com", "to": "bob@example.net", "subject": "Hello, Bob", "text": "Hello."}
                      ]
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The result of each email, in the order of the request.",
                    "headers": {
                      "RateLimit": {"$ref": "#/components/headers/RateLimit"},
                      "RateLimit-Policy": {"$ref": "#/components/headers/RateLimitPolicy"},
                      "Idempotent-Replayed": {"$ref": "#/components/headers/IdempotentReplayed"}
                    },
                    "content": {
                      "application/json": {
                        "schema": {"$ref": "#/components/schemas/BatchResults"},
                        "example": {
                          "results": [
                            {"messageId": "msg_06f1c4k9x2b7e", "status": "queued"},
                            {
                              "status": "failed",
                              "error": {
                                "type": "urn:hiveku:relay:problem:invalid",
                                "title": "The request is not valid",
                                "status": 422,
                                "detail": "\"subject\" is required: a string.",
                                "code": "invalid",
                                "errors": [{"detail": "\"subject\" is required: a string.", "pointer": "#/1/subject"}]
                              }
                            }
                          ]
                        }
                      }
                    }
                  },
                  \#(refusals(reading: .body))
                }
              }
            },
            "/v1/email/messages": {
              "get": {
                "operationId": "listMessages",
                "tags": ["Messages"],
                "summary": "List the key's messages, newest first",
                "description": "Requires the scope `email:send`. A message must match every parameter that is given.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "The number of messages on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 64}
                  },
                  {
                    "name": "status", "in": "query",
                    "description": "Only messages with this status, or with a recipient that has this status.",
                    "schema": {"anyOf": [{"$ref": "#/components/schemas/MessageStatus"}, {"$ref": "#/components/schemas/EventStatus"}]}
                  },
                  {
                    "name": "tag", "in": "query",
                    "description": "Only messages with this tag.",
                    "schema": {"$ref": "#/components/schemas/Tag"}
                  },
                  {
                    "name": "since", "in": "query",
                    "description": "Only messages that were accepted at this time or later (RFC 3339, with a zone).",
                    "schema": {"type": "string", "format": "date-time"},
                    "example": "2026-11-28T00:00:00Z"
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of messages.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MessagePage"}}}
                  },
                  \#(refusals(reading: .parameters))
                }
              }
            },
            "/v1/email/messages/{id}": {
              "get": {
                "operationId": "getMessage",
                "tags": ["Messages"],
                "summary": "Show one of the key's messages",
                "description": "Requires the scope `email:send`.",
                "parameters": [{"$ref": "#/components/parameters/MessageID"}],
                "responses": {
                  "200": {
                    "description": "The message.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
                  },
                  \#(refusals(notFound: "NotFound"))
                }
              }
            },
            "/v1/email/messages/{id}/cancel": {
              "post": {
                "operationId": "cancelMessage",
                "tags": ["Messages"],
                "summary": "Cancel a message that is not being sent yet",
                "description": "Requires the scope `email:send`. A message that is already cancelled gets the same answer again.",
                "parameters": [{"$ref": "#/components/parameters/MessageID"}],
                "responses": {
                  "200": {
                    "description": "The message is not sent.",
                    "content": {
                      "application/json": {
                        "schema": {"$ref": "#/components/schemas/Cancelled"},
                        "example": {"messageId": "msg_06f1c4k9x2b7e", "status": "cancelled"}
                      }
                    }
                  },
                  \#(refusals(notFound: "NotFound", conflict: "Conflict"))
                }
              }
            },
        \#(suppressionPaths)
        \#(webhookPaths)
        \#(domainPaths)
        \#(templatePaths)
            "/v1/openapi.json": {
              "get": {
                "operationId": "describe",
                "tags": ["API"],
                "summary": "This document",
                "security": [],
                "responses": {
                  "200": {
                    "description": "The API in OpenAPI 3.1.",
                    "content": {"application/json": {"schema": {"type": "object"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"}
                }
              }
            }
          },
          "components": {
            "securitySchemes": {
              "key": {"type": "http", "scheme": "bearer", "description": "An API key, `hk_live_…` or `hk_test_…`."}
            },
            "parameters": {
              "IdempotencyKey": {
                "name": "Idempotency-Key", "in": "header",
                "description": "A name for this request. For 24 hours the same name with the same content gets the first answer again, and nothing is sent twice. It is bare, or in double quotes (RFC 8941); both name the same key. It can also be the field `idempotency_key`; if both are sent, they must be equal.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 258, "pattern": "^[ -~]+$"},
                "example": "order-1017"
              },
        \#(suppressionParameters)
        \#(webhookParameters)
        \#(domainParameters)
        \#(templateParameters)
              "MessageID": {
                "name": "id", "in": "path", "required": true,
                "description": "The `messageId`; `msg_` may be left out.",
                "schema": {"type": "string", "pattern": "^(msg_)?[0-9A-Za-z]{13}$"},
                "example": "msg_06f1c4k9x2b7e"
              }
            },
            "headers": {
              "RateLimit": {
                "description": "What the key may still send, in emails (draft-ietf-httpapi-ratelimit-headers): `r` remain, for `t` seconds. An answer to a send has this header if the key may send and the request was read.",
                "schema": {"type": "string"},
                "example": "\"second\";r=9;t=1, \"day\";r=4200;t=3600"
              },
              "RateLimitPolicy": {
                "description": "How many emails the key may send: `q` in `w` seconds.",
                "schema": {"type": "string"},
                "example": "\"second\";q=10;w=1, \"day\";q=5000;w=86400"
              },
              "RetryAfter": {
                "description": "Seconds until another attempt can succeed (RFC 9110 section 10.2.3).",
                "schema": {"type": "integer", "minimum": 1},
                "example": 1
              },
              "IdempotentReplayed": {
                "description": "`true` if the request was carried out before, and this is the first answer again.",
                "schema": {"type": "string", "const": "true"}
              },
              "WWWAuthenticate": {
                "description": "RFC 6750 section 3.",
                "schema": {"type": "string"},
                "example": "Bearer realm=\"hiveku-relay\", error=\"invalid_token\""
              }
            },
            "responses": {
              \#(problem("BadRequest", "The body is not JSON, an idempotency key is malformed or sent twice, the two idempotency keys differ, or the request is not well-formed HTTP.", headers: ["RateLimit", "RateLimit-Policy"])),
              \#(problem("Unauthorized", "There is no API key, or it is unknown, mistyped, revoked or expired.", headers: ["WWW-Authenticate"])),
              \#(problem("Forbidden", "The key lacks a scope, or may not be used from this address or for this sender.", headers: ["WWW-Authenticate", "RateLimit", "RateLimit-Policy"])),
              \#(problem("NotFound", "The key has no such message.")),
        \#(suppressionResponses)
        \#(webhookResponses)
        \#(domainResponses)
        \#(templateResponses)
              \#(problem("Timeout", "The body arrived too slowly.")),
              \#(problem("Conflict", "The message is being sent, or has ended.")),
              \#(problem("TooLarge", "The body, or the message composed from it, is over the limit.", headers: ["RateLimit", "RateLimit-Policy"])),
              \#(problem("UnsupportedMediaType", "The body is not `application/json`, or is compressed.", headers: ["RateLimit", "RateLimit-Policy"])),
              "Unprocessable": {
                "description": "The request is understood, and something in it must be changed: `errors` lists every mistake in the document with its place.",
                "headers": {
                  "RateLimit": {"$ref": "#/components/headers/RateLimit"},
                  "RateLimit-Policy": {"$ref": "#/components/headers/RateLimitPolicy"}
                },
                "content": {
                  "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                      "type": "urn:hiveku:relay:problem:invalid",
                      "title": "The request is not valid",
                      "status": 422,
                      "detail": "The field \"replyTo\" is not known; did you mean \"reply_to\"?",
                      "code": "invalid",
                      "errors": [
                        {"detail": "The field \"replyTo\" is not known; did you mean \"reply_to\"?", "pointer": "#/replyTo"}
                      ]
                    }
                  }
                }
              },
              \#(problem("TooManyRequests", "A limit of the key is reached, or there were too many failed authentications.", headers: ["Retry-After", "RateLimit", "RateLimit-Policy"])),
              \#(problem("HeaderTooLong", "The header of the request is longer than 32 KiB or has more than 200 fields.")),
              \#(problem("Unavailable", "The message can't be stored at the moment.", headers: ["Retry-After", "RateLimit", "RateLimit-Policy"]))
            },
            "schemas": {
        \#(suppressionSchemas)
        \#(webhookSchemas)
        \#(domainSchemas)
        \#(templateSchemas)
              "Email": {
                "type": "object",
                "description": "A field that is null counts as missing. A field that is not listed here is refused. Either `from`, `subject` and at least one of `html` and `text` are required, or `template_id`: the template then provides the bodies, and also `from` and `subject` if the email has none.",
                "additionalProperties": false,
                "required": ["to"],
                "anyOf": [
                  {
                    "required": ["from", "subject", "html"],
                    "properties": {"from": {"type": "string"}, "subject": {"type": "string"}, "html": {"type": "string"}, "template_id": {"type": "null"}, "variables": {"type": "null"}}
                  },
                  {
                    "required": ["from", "subject", "text"],
                    "properties": {"from": {"type": "string"}, "subject": {"type": "string"}, "text": {"type": "string"}, "template_id": {"type": "null"}, "variables": {"type": "null"}}
                  },
                  {
                    "required": ["template_id"],
                    "properties": {"template_id": {"type": "string"}, "html": {"type": "null"}, "text": {"type": "null"}}
                  }
                ],
                "properties": {
                  "from": {"oneOf": [{"$ref": "#/components/schemas/Mailbox"}, {"type": "null"}], "description": "The sender. Its domain must be one that the key may send for."},
                  "to": {
                    "description": "At most `submission.max_recipients` recipients, in `to`, `cc` and `bcc` together.",
                    "oneOf": [
                      {"$ref": "#/components/schemas/Mailbox"},
                      {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Mailbox"}}
                    ]
                  },
                  "cc": {"$ref": "#/components/schemas/Mailboxes"},
                  "bcc": {"$ref": "#/components/schemas/Mailboxes", "description": "Recipients that the message does not show."},
                  "reply_to": {"$ref": "#/components/schemas/Mailboxes"},
                  "subject": {"type": ["string", "null"], "maxLength": 4096, "description": "At most 4,096 octets of UTF-8, without line ends."},
                  "html": {"type": ["string", "null"]},
                  "text": {"type": ["string", "null"]},
                  "attachments": {
                    "type": ["array", "null"], "maxItems": 100, "items": {"$ref": "#/components/schemas/Attachment"}
                  },
                  "tags": {
                    "type": ["array", "null"], "maxItems": 40, "items": {"$ref": "#/components/schemas/Tag"},
                    "description": "Words to find messages by, at most 10 different tags. They are not part of the message."
                  },
                  "headers": {
                    "type": ["object", "null"], "maxProperties": 100,
                    "propertyNames": {"minLength": 1, "maxLength": 76, "pattern": "^[!-9;-~]+$"},
                    "additionalProperties": {"type": "string", "maxLength": 8192},
                    "description": "Additional header fields. Fields that the relay writes or that other members set are refused: From, To, Date, MIME-Version, Received and the like."
                  },
                  "scheduled_at": {
                    "type": ["string", "null"], "format": "date-time",
                    "description": "When to send (RFC 3339, with a zone): up to 30 days ahead. A time in the past means now."
                  },
                  "idempotency_key": {"$ref": "#/components/schemas/IdempotencyKey"},
                  "template_id": {
                    "oneOf": [{"$ref": "#/components/schemas/TemplateReference"}, {"type": "null"}],
                    "description": "The template that provides the bodies, and the other fields that the email does not have. A request may name at most 20 different templates."
                  },
                  "variables": {"$ref": "#/components/schemas/Variables"}
                }
              },
              "Mailbox": {
                "type": "string",
                "minLength": 3,
                "maxLength": 2048,
                "description": "An address, or a name and an address in angle brackets. The name may be in any script.",
                "examples": ["ann@example.net", "Ann <ann@example.net>"]
              },
              "Mailboxes": {
                "oneOf": [
                  {"$ref": "#/components/schemas/Mailbox"},
                  {"type": "array", "items": {"$ref": "#/components/schemas/Mailbox"}},
                  {"type": "null"}
                ]
              },
              "Attachment": {
                "type": "object",
                "additionalProperties": false,
                "required": ["filename", "content"],
                "properties": {
                  "filename": {"type": "string", "minLength": 1, "maxLength": 255, "description": "Without a path. At most 255 octets of UTF-8."},
                  "content": {"type": "string", "contentEncoding": "base64", "description": "The file in base64 (RFC 4648 section 4)."},
                  "content_type": {
                    "type": ["string", "null"], "maxLength": 255, "description": "A media type. Without one, it follows from the file name's extension.", "examples": ["application/pdf"]
                  },
                  "content_id": {
                    "type": ["string", "null"], "minLength": 1, "maxLength": 200, "description": "If set, the file is inline, and `html` refers to it as `cid:…`.", "examples": ["logo"]
                  }
                }
              },
              "Tag": {"type": "string", "minLength": 1, "maxLength": 256, "description": "At most 256 octets of UTF-8, no control characters."},
              "IdempotencyKey": {
                "type": ["string", "null"], "minLength": 1, "maxLength": 256, "pattern": "^[ -~]+$",
                "description": "The same as the header Idempotency-Key."
              },
              "Batch": {
                "oneOf": [
                  {"$ref": "#/components/schemas/Emails"},
                  {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["emails"],
                    "properties": {
                      "emails": {"$ref": "#/components/schemas/Emails"},
                      "idempotency_key": {"$ref": "#/components/schemas/IdempotencyKey", "description": "The key of the batch as a whole. If it is set, the emails must not have their own."}
                    }
                  }
                ]
              },
              "Emails": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"$ref": "#/components/schemas/Email"}},
              "MessageID": {"type": "string", "pattern": "^msg_[0-9a-z]{13}$"},
              "Accepted": {
                "type": "object",
                "required": ["messageId", "status"],
                "properties": {
                  "messageId": {"$ref": "#/components/schemas/MessageID"},
                  "status": {"enum": ["queued", "scheduled"]}
                }
              },
              "Cancelled": {
                "type": "object",
                "required": ["messageId", "status"],
                "properties": {
                  "messageId": {"$ref": "#/components/schemas/MessageID"},
                  "status": {"const": "cancelled"}
                }
              },
              "BatchResults": {
                "type": "object",
                "required": ["results"],
                "properties": {
                  "results": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "items": {
                      "oneOf": [
                        {"$ref": "#/components/schemas/Accepted"},
                        {
                          "type": "object",
                          "required": ["status", "error"],
                          "properties": {
                            "status": {"const": "failed"},
                            "error": {"$ref": "#/components/schemas/Problem"}
                          }
                        }
                      ]
                    }
                  }
                }
              },
              "MessageStatus": {
                "type": "string",
                "enum": ["scheduled", "queued", "sending", "held", "sent", "failed", "cancelled", "suppressed", "partly-failed"],
                "description": "What the relay has done with the message. A test key's message becomes `sent` without being sent. `partly-failed`: sent only to some recipients. `held`: the operator holds it. `suppressed`: every recipient is on the list of suppressions."
              },
              "EventStatus": {
                "type": "string",
                "enum": ["delivered", "delayed", "bounced", "complained", "rejected", "suppressed"],
                "description": "What was reported about a recipient after the message was sent, or `suppressed`."
              },
              "RecipientStatus": {
                "type": "string",
                "enum": ["scheduled", "queued", "sending", "held", "sent", "delivered", "delayed", "bounced", "complained", "rejected", "failed", "suppressed", "cancelled"],
                "description": "The strongest of the recipient's events, in whatever order they arrived; before the first event, what the relay does with the message."
              },
              "Event": {
                "type": "object",
                "required": ["type", "at", "detail"],
                "properties": {
                  "type": {"enum": ["queued", "scheduled", "sent", "delivered", "delayed", "bounced", "complained", "rejected", "failed", "suppressed", "cancelled"]},
                  "at": {"type": "string", "format": "date-time"},
                  "detail": {"type": ["string", "null"]}
                }
              },
              "Message": {
                "type": "object",
                "required": ["messageId", "status", "from", "subject", "tags", "template", "created_at", "scheduled_at", "recipients"],
                "properties": {
                  "messageId": {"$ref": "#/components/schemas/MessageID"},
                  "status": {"$ref": "#/components/schemas/MessageStatus"},
                  "from": {"type": ["string", "null"], "description": "The envelope sender; null if there is none."},
                  "subject": {"type": ["string", "null"]},
                  "tags": {"type": "array", "maxItems": 10, "items": {"$ref": "#/components/schemas/Tag"}},
                  "template": {
                    "oneOf": [{"$ref": "#/components/schemas/TemplateReference"}, {"type": "null"}],
                    "description": "The template that the message was made from, with the version."
                  },
                  "created_at": {"type": "string", "format": "date-time"},
                  "scheduled_at": {"type": ["string", "null"], "format": "date-time"},
                  "recipients": {
                    "type": "array",
                    "items": {
                      "type": "object",
                      "required": ["email", "status", "at", "detail"],
                      "properties": {
                        "email": {"type": "string"},
                        "status": {"$ref": "#/components/schemas/RecipientStatus"},
                        "at": {"type": "string", "format": "date-time", "description": "When the recipient got this status; while delivery is attempted, the time of the last attempt."},
                        "detail": {"type": ["string", "null"], "description": "The reported detail: why delivery failed, bounced or is retried."},
                        "events": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}, "description": "The events by time. Lists do not include them."}
                      }
                    }
                  }
                },
                "examples": [
                  {
                    "messageId": "msg_06f1c4k9x2b7e",
                    "status": "sent",
                    "from": "hello@example.com",
                    "subject": "Your order",
                    "tags": ["orders"],
                    "template": null,
                    "created_at": "2026-11-28T12:00:00.000Z",
                    "scheduled_at": null,
                    "recipients": [
                      {"email": "ann@example.net", "status": "sent", "at": "2026-11-28T12:00:00.412Z", "detail": null}
                    ]
                  }
                ]
              },
              "MessagePage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Message"}},
                  "next_cursor": {"type": ["string", "null"], "description": "The value for the parameter `cursor`; null on the last page."}
                }
              },
              "Problem": {
                "type": "object",
                "description": "RFC 9457.",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                  "type": {"type": "string", "format": "uri", "description": "`urn:hiveku:relay:problem:` and the code."},
                  "title": {"type": "string", "description": "The same for all problems of a type."},
                  "status": {"type": "integer", "minimum": 400, "maximum": 599},
                  "detail": {"type": "string", "description": "What to change."},
                  "code": {
                    "type": "string",
                    "description": "A stable word. Most words are also used in SMTP replies.",
                    "enum": [
                      "tls-required", "auth-required", "key-unknown", "key-malformed", "key-revoked", "key-expired", "scope", "network",
                      "auth-throttled", "sender-domain", "header-domain", "header-from", "header-address", "header-mime",
                      "header-syntax", "header-repeated", "attachment", "loop", "rate-second", "rate-day", "recipients", "size",
                      "address", "parameter", "line-ending", "line-length", "storage", "invalid", "idempotency-mismatch",
                      "bad-request", "header-fields", "timeout", "not-found", "method-not-allowed", "unsupported-media-type",
                      "conflict", "complaint", "webhook-limit", "webhook-state", "domain-limit", "ses", "busy",
                      "template-variables", "template-name", "template-limit"
                    ]
                  },
                  "errors": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 101,
                    "description": "Every mistake in the document.",
                    "items": {
                      "type": "object",
                      "required": ["detail", "pointer"],
                      "properties": {
                        "detail": {"type": "string", "description": "What to change."},
                        "pointer": {"type": "string", "description": "The place: a JSON pointer as a fragment (RFC 6901 section 6)."}
                      }
                    }
                  }
                }
              }
            }
          }
        }
        """#
}
