extension OpenAPIDocument {
    /// The paths below `/v1/email/suppressions`, each followed by a comma.
    static let suppressionPaths = #"""
            "/v1/email/suppressions": {
              "get": {
                "operationId": "listSuppressions",
                "tags": ["Suppressions"],
                "summary": "List the addresses to which no mail is sent",
                "description": "Requires the scope `email:send`. All live keys share one list, and all test keys another. Entries are in the order of their addresses in lower case.",
                "parameters": [
                  {
                    "name": "limit", "in": "query",
                    "description": "The number of entries on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor", "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{2,2000}$"}
                  },
                  {
                    "name": "reason", "in": "query",
                    "description": "Only entries with this reason.",
                    "schema": {"$ref": "#/components/schemas/SuppressionReason"}
                  },
                  {
                    "name": "search", "in": "query",
                    "description": "Only addresses that contain this text, in upper or lower case.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 254}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of entries.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SuppressionPage"}}}
                  },
                  \#(refusals(reading: .parameters))
                }
              },
              "post": {
                "operationId": "addSuppression",
                "tags": ["Suppressions"],
                "summary": "Add an address to the list",
                "description": "Requires the scope `email:send`. From now on no key of the environment sends to this address: a message to it is accepted as usual, but this recipient gets the status `suppressed`. An address that is already on the list keeps its time, and the stronger of the two reasons: a complaint before a hard bounce, and both before `manual`.",
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
                    "description": "The address was already on the list. The entry as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  "201": {
                    "description": "The new entry.",
                    "headers": {
                      "Location": {"description": "The path of the entry.", "schema": {"type": "string"}, "example": "/v1/email/suppressions/user%40example.net"}
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  \#(refusals(reading: .body))
                }
              }
            },
            "/v1/email/suppressions/{email}": {
              "parameters": [{"$ref": "#/components/parameters/SuppressedAddress"}],
              "get": {
                "operationId": "getSuppression",
                "tags": ["Suppressions"],
                "summary": "Show whether an address is on the list, and why",
                "description": "Requires the scope `email:send`.",
                "responses": {
                  "200": {
                    "description": "The entry.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Suppression"}}}
                  },
                  \#(refusals(notFound: "SuppressionNotFound"))
                }
              },
              "delete": {
                "operationId": "removeSuppression",
                "tags": ["Suppressions"],
                "summary": "Remove an address from the list",
                "description": "Requires the scope `email:send`. All keys of the environment can send to the address again.",
                "parameters": [
                  {
                    "name": "confirm", "in": "query",
                    "description": "Required to remove a complaint: a recipient who complained does not want more mail.",
                    "schema": {"type": "boolean", "default": false}
                  }
                ],
                "responses": {
                  "204": {"description": "The address has been removed from the list."},
                  \#(refusals(reading: .parameters, notFound: "SuppressionNotFound", conflict: "SuppressionConflict"))
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
              \#(problem("SuppressionNotFound", "The address is not on the list.")),
              \#(problem("SuppressionConflict", "The recipient has complained; send `confirm=true` to remove the address anyway.")),
        """#

    static let suppressionSchemas = #"""
              "SuppressionReason": {
                "type": "string", "enum": ["hard_bounce", "complaint", "manual"],
                "description": "`hard_bounce`: there is no such address. `complaint`: the recipient has marked a message as spam. `manual`: a person or an application has added it."
              },
              "NewSuppression": {
                "type": "object",
                "description": "A field that is null counts as missing. A field that is not listed here is refused.",
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
                    "description": "Why the address is on the list."
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
                    "description": "The message whose bounce or complaint caused the entry. It may be another key's."
                  },
                  "note": {"type": ["string", "null"], "description": "What the receiving server said, or what a person noted."}
                }
              },
              "SuppressionPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Suppression"}},
                  "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."}
                }
              },
        """#
}
