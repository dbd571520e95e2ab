extension OpenAPIDocument {
    /// The paths below `/v1/email/suppressions`, each with a comma behind it.
    static let suppressionPaths = #"""
            "/v1/email/suppressions": {
              "get": {
                "operationId": "listSuppressions",
                "tags": ["Suppressions"],
                "summary": "List the addresses that get no mail",
                "description": "The scope `email:send` is needed. All live keys share one list, and all test keys another. In the order of the addresses in lower case.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "Entries on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "`next_cursor` of the page before.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{2,2000}$"}
                  },
                  {
                    "name": "reason", "in": "query",
                    "description": "Only for this reason.",
                    "schema": {"$ref": "#/components/schemas/SuppressionReason"}
                  },
                  {
                    "name": "search", "in": "query",
                    "description": "Only addresses that hold this text. Letters in upper and lower case count as the same.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 254}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of entries.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SuppressionPage"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                }
              },
              "post": {
                "operationId": "addSuppression",
                "tags": ["Suppressions"],
                "summary": "Put an address on the list",
                "description": "The scope `email:send` is needed. No key of the environment sends to this address any more: such a message is accepted as usual, and this recipient ends as `suppressed`. An address that is on the list keeps its time, and the weightier of the two reasons: a complaint before a hard bounce, and both before `manual`.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/NewSuppression"},
                      "example": {"email": "user@example.net", "reason": "manual", "note": "asked by telephone"}
                    }
                  }
                },
                "responses": {
                  "200": {
                    "description": "The address was on the list already; the entry as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  "201": {
                    "description": "The new entry.",
                    "headers": {
                      "Location": {"description": "Where the entry is.", "schema": {"type": "string"}, "example": "/v1/email/suppressions/user%40example.net"}
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "408": {"$ref": "#/components/responses/Timeout"},
                  "413": {"$ref": "#/components/responses/TooLarge"},
                  "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                }
              }
            },
            "/v1/email/suppressions/{email}": {
              "parameters": [{"$ref": "#/components/parameters/SuppressedAddress"}],
              "get": {
                "operationId": "getSuppression",
                "tags": ["Suppressions"],
                "summary": "Tell whether an address is on the list, and why",
                "description": "The scope `email:send` is needed.",
                "responses": {
                  "200": {
                    "description": "The entry.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "404": {"$ref": "#/components/responses/SuppressionNotFound"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                }
              },
              "delete": {
                "operationId": "removeSuppression",
                "tags": ["Suppressions"],
                "summary": "Take an address off the list",
                "description": "The scope `email:send` is needed. The address gets mail again, from all keys of the environment.",
                "parameters": [
                  {
                    "name": "confirm", "in": "query",
                    "description": "Needed to remove a complaint: who complained has asked for no more mail.",
                    "schema": {"type": "boolean", "default": false}
                  }
                ],
                "responses": {
                  "204": {"description": "The address is off the list."},
                  "400": {"$ref": "#/components/responses/BadRequest"},
                  "401": {"$ref": "#/components/responses/Unauthorized"},
                  "403": {"$ref": "#/components/responses/Forbidden"},
                  "404": {"$ref": "#/components/responses/SuppressionNotFound"},
                  "409": {"$ref": "#/components/responses/SuppressionConflict"},
                  "422": {"$ref": "#/components/responses/Unprocessable"},
                  "429": {"$ref": "#/components/responses/TooManyRequests"},
                  "431": {"$ref": "#/components/responses/HeaderTooLong"},
                  "503": {"$ref": "#/components/responses/Unavailable"}
                }
              }
            },
        """#

    static let suppressionParameters = #"""
              "SuppressedAddress": {
                "name": "email", "in": "path", "required": true,
                "description": "The address, in upper or lower case, percent-encoded: `user%40example.net`.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 2048},
                "example": "user@example.net"
              },
        """#

    static let suppressionResponses = #"""
              "SuppressionNotFound": {
                "description": "The address is not on the list.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
              "SuppressionConflict": {
                "description": "The address has complained; send `confirm=true` to remove it nevertheless.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
              },
        """#

    static let suppressionSchemas = #"""
              "SuppressionReason": {
                "type": "string", "enum": ["hard_bounce", "complaint", "manual"],
                "description": "`hard_bounce`: there is no such address. `complaint`: its owner has marked a message as spam. `manual`: a person or an application has put it on the list."
              },
              "NewSuppression": {
                "type": "object",
                "description": "A field that is null counts as left out. A field that is not named here is refused.",
                "additionalProperties": false,
                "required": ["email"],
                "properties": {
                  "email": {"$ref": "#/components/schemas/Mailbox"},
                  "reason": {
                    "oneOf": [{"$ref": "#/components/schemas/SuppressionReason"}, {"type": "null"}],
                    "default": "manual"
                  },
                  "note": {
                    "type": ["string", "null"], "maxLength": 500, "pattern": "^[^\u0000-\u001F\u007F-\u009F]*$",
                    "description": "Why, for people."
                  }
                }
              },
              "Suppression": {
                "type": "object",
                "additionalProperties": false,
                "required": ["email", "reason", "created_at", "messageId", "note"],
                "properties": {
                  "email": {"type": "string", "examples": ["user@example.net"]},
                  "reason": {"$ref": "#/components/schemas/SuppressionReason"},
                  "created_at": {"type": "string", "format": "date-time"},
                  "messageId": {
                    "type": ["string", "null"],
                    "description": "The message whose bounce or complaint it follows from; of any key."
                  },
                  "note": {"type": ["string", "null"], "description": "What the receiving server said, or what a person noted."}
                }
              },
              "SuppressionPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Suppression"}},
                  "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."}
                }
              },
        """#
}
