extension OpenAPIDocument {
    /// The paths below `/v1/email/domains`, each with a comma behind it.
    static let domainPaths = #"""
            "/v1/email/domains": {
              "get": {
                "operationId": "listDomains",
                "tags": ["Domains"],
                "summary": "List the domains to send from",
                "description": "The scope `email:domains` is needed. With a live key the domains of the SES account, with a test key those of the simulation; in the order of their names. A key that is for some domains only sees no others.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "Domains on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "`next_cursor` of the page before.",
                    "schema": {"type": "string", "pattern": "^[a-z0-9.-]{1,253}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of domains, without their records.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DomainPage"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/DomainForbidden"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "502": {"$ref": "#/components/responses/SESFailed"},
                  "503": {"$ref": "#/components/responses/DomainsBusy"}
                }
              },
              "post": {
                "operationId": "addDomain",
                "tags": ["Domains"],
                "summary": "Add a domain to send from",
                "description": "The scope `email:domains` is needed. The answer has the DNS records to set. With a live key SES looks for them by itself, and the domain becomes `verified` when it has found those of DKIM. With a test key nothing is looked up: `POST …/verify` makes the domain `verified`.",
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
                    "description": "The domain was there already; the domain as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  "201": {
                    "description": "The new domain.",
                    "headers": {
                      "Location": {"description": "Where the domain is.", "schema": {"type": "string"}, "example": "/v1/email/domains/example.com"}
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/DomainForbidden"},
                  "408": {"$ref": "#/components/responses/Timeout"},
                  "409": {"$ref": "#/components/responses/DomainLimit"},
                  "413": {"$ref": "#/components/responses/TooLarge"},
                  "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "502": {"$ref": "#/components/responses/SESFailed"},
                  "503": {"$ref": "#/components/responses/DomainsBusy"}
                }
              }
            },
            "/v1/email/domains/{name}": {
              "parameters": [{"$ref": "#/components/parameters/DomainName"}],
              "get": {
                "operationId": "getDomain",
                "tags": ["Domains"],
                "summary": "Show a domain, its DNS records and what DNS has",
                "description": "The scope `email:domains` is needed. Each record is looked up, for 5 seconds at most.",
                "responses": {
                  "200": {
                    "description": "The domain.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/DomainForbidden"},
                  "404": {"$ref": "#/components/responses/DomainNotFound"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "502": {"$ref": "#/components/responses/SESFailed"},
                  "503": {"$ref": "#/components/responses/DomainsBusy"}
                }
              }
            },
            "/v1/email/domains/{name}/verify": {
              "parameters": [{"$ref": "#/components/parameters/DomainName"}],
              "post": {
                "operationId": "verifyDomain",
                "tags": ["Domains"],
                "summary": "Look again whether a domain can be sent from",
                "description": "The scope `email:domains` is needed. With a live key SES is asked what it has found, and each record is looked up; SES looks for the records by itself, which may take minutes to hours. With a test key the domain becomes `verified`.",
                "responses": {
                  "200": {
                    "description": "The domain.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Domain"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/DomainForbidden"},
                  "404": {"$ref": "#/components/responses/DomainNotFound"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "502": {"$ref": "#/components/responses/SESFailed"},
                  "503": {"$ref": "#/components/responses/DomainsBusy"}
                }
              }
            },
        """#

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
                "description": "The API key may not do this: it lacks the scope, it may not be used from this address, or it is for other domains (`sender-domain`). The answer is the same whether such a domain is there or not.",
                "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              "DomainNotFound": {
                "description": "There is no such domain.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              "DomainLimit": {
                "description": "There are as many domains as there can be.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              "SESFailed": {
                "description": "SES does not answer within 10 seconds, takes no more requests just now, or refuses the relay's credentials; `detail` says which.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              "DomainsBusy": {
                "description": "Too many requests about domains are under way (`busy`), or the relay can't look at its records just now (`storage`).",
                "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
        """#

    static let domainSchemas = #"""
              "NewDomain": {
                "type": "object",
                "description": "A field that is not named here is refused.",
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
                "description": "`pending`: the DKIM records have not been found yet. `verified`: they have, and the domain can be sent from. `failed`: SES has not found them for 72 hours and does not look any more; set them, delete the identity at SES and add the domain again. `temporary_failure`: SES could not look."
              },
              "DomainSummary": {
                "type": "object",
                "required": ["name", "unicode_name", "status", "sending_enabled", "created_at"],
                "properties": {
                  "name": {"type": "string", "description": "In A-labels.", "examples": ["example.com"]},
                  "unicode_name": {"type": "string", "description": "As people write it."},
                  "status": {"$ref": "#/components/schemas/DomainStatus"},
                  "sending_enabled": {"type": "boolean"},
                  "created_at": {"type": ["string", "null"], "format": "date-time", "description": "Null with a live key: SES does not tell."}
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
                    "description": "`dkim`: signatures, by which SES knows the domain as yours. `spf`: which servers may send. `dmarc`: what receivers do with mail that is neither. `mail_from`: bounces, where SES has a MAIL FROM domain for this one."
                  },
                  "type": {"type": "string", "enum": ["CNAME", "MX", "TXT"]},
                  "name": {"type": "string", "description": "The full name, without a dot at the end."},
                  "value": {"type": "string", "description": "Of a TXT record without quotes. Where the domain has an SPF record that lacks SES, it is that record with SES."},
                  "required": {"type": "boolean", "description": "False: advice."},
                  "status": {
                    "type": "string", "enum": ["missing", "wrong", "found", "unknown"],
                    "description": "What DNS has. `wrong`: something else, see `found`. `unknown`: the look-up failed, see `reason`."
                  },
                  "found": {"type": "array", "maxItems": 8, "items": {"type": "string"}, "description": "The values that are there."},
                  "reason": {"type": ["string", "null"], "description": "What is wrong, where that does not show, or why the look-up failed."}
                }
              },
              "DomainPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/DomainSummary"}},
                  "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."}
                }
              },
        """#
}
