extension OpenAPIDocument {
    /// The paths below `/v1/email/domains`, each followed by a comma.
    static let domainPaths = #"""
            "/v1/email/domains": {
              "get": {
                "operationId": "listDomains",
                "tags": ["Domains"],
                "summary": "List the domains to send from",
                "description": "Requires the scope `email:domains`. A live key gets the domains of the SES account, a test key those of the simulation, in the order of their names. A key with a domain allowlist sees only the domains in it.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "The number of domains on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[a-z0-9.-]{1,253}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of domains, without their records.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DomainPage"}}}
                  },
                  \#(domainRefusals(reading: .parameters))
                }
              },
              "post": {
                "operationId": "addDomain",
                "tags": ["Domains"],
                "summary": "Add a domain to send from",
                "description": "Requires the scope `email:domains`. The answer contains the DNS records to set. With a live key, SES looks for them without further action, and the domain becomes `verified` when SES has found the DKIM records. With a test key nothing is looked up: `POST …/verify` sets the domain to `verified`.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/NewDomain"},
                      "example": {"name": "example.com"}
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The domain existed already. The domain as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  "201": {
                    "description": "The new domain.",
                    "headers": {
                      "Location": {"description": "The path of the domain.", "schema": {"type": "string"}, "example": "/v1/email/domains/example.com"}
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  \#(domainRefusals(reading: .body, conflict: "DomainLimit"))
                }
              }
            },
            "/v1/email/domains/{name}": {
              "parameters": [{"$ref": "#/components/parameters/DomainName"}],
              "get": {
                "operationId": "getDomain",
                "tags": ["Domains"],
                "summary": "Show a domain, its DNS records and their state in DNS",
                "description": "Requires the scope `email:domains`. Each record is looked up, for at most 5 seconds.",
                "responses": {
                  "200": {
                    "description": "The domain.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  \#(domainRefusals(reading: .parameters, notFound: "DomainNotFound"))
                }
              }
            },
            "/v1/email/domains/{name}/verify": {
              "parameters": [{"$ref": "#/components/parameters/DomainName"}],
              "post": {
                "operationId": "verifyDomain",
                "tags": ["Domains"],
                "summary": "Check again whether the relay can send from a domain",
                "description": "Requires the scope `email:domains`. With a live key, SES is asked for its state, and each record is looked up. SES looks for the records without further action, which may take minutes to hours. With a test key the domain becomes `verified`.",
                "responses": {
                  "200": {
                    "description": "The domain.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  \#(domainRefusals(reading: .parameters, notFound: "DomainNotFound"))
                }
              }
            },
        """#

    private static func domainRefusals(
        reading input: Input, notFound: String? = nil, conflict: String? = nil
    ) -> String {
        refusals(
            reading: input, forbidden: "DomainForbidden", notFound: notFound, conflict: conflict,
            badGateway: "SESFailed", unavailable: "DomainsBusy")
    }

    static let domainParameters = #"""
              "DomainName": {
                "name": "name", "in": "path", "required": true,
                "description": "The domain, in A-labels or percent-encoded U-labels.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 253},
                "example": "example.com"
              },
        """#

    static let domainResponses = #"""
              "DomainForbidden": {
                "description": "The API key is not allowed to do this: it lacks the scope, may not be used from this address, or is for other domains (`sender-domain`). The answer does not reveal whether such a domain exists.",
                "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              \#(problem("DomainNotFound", "There is no such domain.")),
              \#(problem("DomainLimit", "The limit of domains is reached.")),
              \#(problem("SESFailed", "SES does not answer within 10 seconds, accepts no more requests at the moment, or refuses the relay's credentials; `detail` says which.")),
              \#(problem("DomainsBusy", "Too many requests about domains are in progress (`busy`), or the relay can't read its records at the moment (`storage`).", headers: ["Retry-After"])),
        """#

    static let domainSchemas = #"""
              "NewDomain": {
                "type": "object",
                "description": "A field that is not listed here is refused.",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                  "name": {
                    "type": "string", "minLength": 3, "maxLength": 253,
                    "description": "In A-labels or U-labels: `xn--bcher-kva.example` and `bücher.example` are the same."
                  }
                }
              },
              "DomainStatus": {
                "type": "string",
                "enum": ["pending", "verified", "failed", "temporary_failure", "not_started"],
                "description": "`pending`: the DKIM records have not been found yet. `verified`: they have, and the domain can be sent from. `failed`: SES has not found them for 72 hours and has stopped looking; set them, delete the identity at SES and add the domain again. `temporary_failure`: SES could not check."
              },
              "DomainSummary": {
                "type": "object",
                "required": ["name", "unicode_name", "status", "sending_enabled", "created_at"],
                "properties": {
                  "name": {"type": "string", "description": "In A-labels.", "examples": ["example.com"]},
                  "unicode_name": {"type": "string", "description": "The name as people write it."},
                  "status": {"$ref": "#/components/schemas/DomainStatus"},
                  "sending_enabled": {"type": "boolean"},
                  "created_at": {"type": ["string", "null"], "format": "date-time", "description": "Null with a live key: SES does not report it."}
                }
              },
              "Domain": {
                "allOf": [{"$ref": "#/components/schemas/DomainSummary"}],
                "type": "object",
                "required": ["records"],
                "properties": {
                  "records": {"type": "array", "maxItems": 13, "items": {"$ref": "#/components/schemas/DomainRecord"}}
                }
              },
              "DomainRecord": {
                "type": "object",
                "additionalProperties": false,
                "required": ["purpose", "type", "name", "value", "required", "status", "found", "reason"],
                "properties": {
                  "purpose": {
                    "type": "string", "enum": ["dkim", "spf", "dmarc", "mail_from"],
                    "description": "`dkim`: signatures, which prove to SES that the domain is yours. `spf`: which servers may send. `dmarc`: what receivers do with mail that passes neither check. `mail_from`: bounces, if SES has a MAIL FROM domain for this one."
                  },
                  "type": {"type": "string", "enum": ["CNAME", "MX", "TXT"]},
                  "name": {"type": "string", "description": "The full name, without a trailing dot."},
                  "value": {"type": "string", "description": "The value; for a TXT record without quotes. If the domain has an SPF record without SES, it is that record with SES added."},
                  "required": {"type": "boolean", "description": "False: recommended, but not required for sending."},
                  "status": {
                    "type": "string", "enum": ["missing", "wrong", "found", "unknown"],
                    "description": "The state in DNS. `wrong`: DNS has another value, see `found`. `unknown`: the look-up failed, see `reason`."
                  },
                  "found": {"type": "array", "maxItems": 8, "items": {"type": "string"}, "description": "The values in DNS."},
                  "reason": {"type": ["string", "null"], "description": "What is wrong, if the values do not show it, or why the look-up failed."}
                }
              },
              "DomainPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/DomainSummary"}},
                  "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."}
                }
              },
        """#
}
