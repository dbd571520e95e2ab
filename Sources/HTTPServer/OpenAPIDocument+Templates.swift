extension OpenAPIDocument {
    /// The paths below `/v1/email/templates` and `/v1/email/tags`, each followed by a comma.
    static let templatePaths = #"""
            "/v1/email/templates": {
              "get": {
                "operationId": "listTemplates",
                "tags": ["Templates"],
                "summary": "List the templates, by name",
                "description": "Requires the scope `email:templates`. Keys without a domain allowlist share their templates; a key with an allowlist has its own.",
                "parameters": [
                  {
                    "name": "limit",
                    "in": "query",
                    "description": "The number of entries on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor",
                    "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{2,2000}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of templates, without their content.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TemplatePage"}}}
                  },
                  \#(refusals(reading: .parameters))
                }
              },
              "post": {
                "operationId": "createTemplate",
                "tags": ["Templates"],
                "summary": "Save a new template",
                "description": "Requires the scope `email:templates`. A placeholder whose variable is not declared declares one: a required string.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/NewTemplate"},
                      "example": {
                        "name": "Order confirmation",
                        "subject": "Your order {{order.number}}",
                        "html": "<p>Dear {{name}}, thank you for your order.</p>",
                        "text": "Dear {{name}}, thank you for your order.",
                        "variables": [{"name": "order.number", "type": "number"}, {"name": "name", "default": "customer"}],
                        "from": "Acme <orders@example.com>"
                      }
                    }
                  }
                },
                "responses": {
                  "201": {
                    "description": "The template.",
                    "headers": {
                      "Location": {
                        "description": "The path of the template.",
                        "schema": {"type": "string"},
                        "example": "/v1/email/templates/tpl_0123456789abcdefghjk"
                      }
                    },
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Template"}}}
                  },
                  \#(refusals(reading: .body, conflict: "TemplateConflict"))
                }
              }
            },
            "/v1/email/templates/{id}": {
              "parameters": [{"$ref": "#/components/parameters/TemplateID"}],
              "get": {
                "operationId": "getTemplate",
                "tags": ["Templates"],
                "summary": "Show a template, and the outcome of its messages",
                "description": "Requires the scope `email:templates`. The statistics are those of the environment of the key, live or test.",
                "responses": {
                  "200": {
                    "description": "The latest version.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TemplateWithStatistics"}}}
                  },
                  \#(refusals(notFound: "TemplateNotFound"))
                }
              },
              "patch": {
                "operationId": "changeTemplate",
                "tags": ["Templates"],
                "summary": "Change a template",
                "description": "Requires the scope `email:templates`. A changed content creates the next version; a changed name alone does not. Missing fields stay as they are, and null removes a field. Without `variables`, the variables that a placeholder still names stay.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/TemplateChange"}, "example": {"subject": "Order {{order.number}} is on its way"}}
                  }
                },
                "responses": {
                  "200": {
                    "description": "The template as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Template"}}}
                  },
                  \#(refusals(reading: .body, notFound: "TemplateNotFound", conflict: "TemplateConflict"))
                }
              },
              "delete": {
                "operationId": "deleteTemplate",
                "tags": ["Templates"],
                "summary": "Delete a template with all its versions",
                "description": "Requires the scope `email:templates`.",
                "responses": {
                  "204": {"description": "The template is deleted."},
                  \#(refusals(notFound: "TemplateNotFound"))
                }
              }
            },
            "/v1/email/templates/{id}/versions": {
              "parameters": [{"$ref": "#/components/parameters/TemplateID"}],
              "get": {
                "operationId": "listTemplateVersions",
                "tags": ["Templates"],
                "summary": "List the versions of a template, newest first",
                "description": "Requires the scope `email:templates`. The last 200 versions are kept.",
                "parameters": [
                  {
                    "name": "limit",
                    "in": "query",
                    "description": "The number of entries on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor",
                    "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "A page of versions, without their content.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TemplateVersionPage"}}}
                  },
                  \#(refusals(reading: .parameters, notFound: "TemplateNotFound"))
                }
              }
            },
            "/v1/email/templates/{id}/versions/{version}": {
              "parameters": [{"$ref": "#/components/parameters/TemplateID"}, {"$ref": "#/components/parameters/TemplateVersion"}],
              "get": {
                "operationId": "getTemplateVersion",
                "tags": ["Templates"],
                "summary": "Show a version of a template",
                "description": "Requires the scope `email:templates`.",
                "responses": {
                  "200": {
                    "description": "The template in this version.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Template"}}}
                  },
                  \#(refusals(notFound: "TemplateNotFound"))
                }
              }
            },
            "/v1/email/templates/{id}/render": {
              "parameters": [{"$ref": "#/components/parameters/TemplateID"}],
              "post": {
                "operationId": "renderTemplate",
                "tags": ["Templates"],
                "summary": "Show the email that a template gives with some values",
                "description": "Requires the scope `email:templates`. Nothing is sent.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/TemplateValues"}, "example": {"variables": {"order": {"number": 1017}, "name": "Ann"}}}
                  }
                },
                "responses": {
                  "200": {
                    "description": "The content of the email.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RenderedTemplate"}}}
                  },
                  \#(refusals(reading: .body, notFound: "TemplateNotFound"))
                }
              }
            },
            "/v1/email/templates/{id}/rollback": {
              "parameters": [{"$ref": "#/components/parameters/TemplateID"}],
              "post": {
                "operationId": "rollBackTemplate",
                "tags": ["Templates"],
                "summary": "Go back to an earlier version",
                "description": "Requires the scope `email:templates`. Creates a new version with the content of the earlier one. If the latest version already has that content, none is created.",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TemplateRollback"}, "example": {"version": 2}}}
                },
                "responses": {
                  "200": {
                    "description": "The template as it is now.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Template"}}}
                  },
                  \#(refusals(reading: .body, notFound: "TemplateNotFound"))
                }
              }
            },
            "/v1/email/tags": {
              "get": {
                "operationId": "listTags",
                "tags": ["Messages"],
                "summary": "Show the outcome of the key's messages, by tag",
                "description": "Requires the scope `email:send`. The tags that were counted within 30 days, in the order of their octets.",
                "parameters": [
                  {
                    "name": "limit",
                    "in": "query",
                    "description": "The number of entries on a page.",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
                  },
                  {
                    "name": "cursor",
                    "in": "query",
                    "description": "The `next_cursor` of the previous page.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{2,2000}$"}
                  }
                ],
                "responses": {
                  "200": {"description": "A page of tags.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TagPage"}}}},
                  \#(refusals(reading: .parameters))
                }
              }
            },
        """#

    static let templateParameters = #"""
              "TemplateID": {"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/TemplateID"}},
              "TemplateVersion": {"name": "version", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/TemplateVersion"}},
        """#

    static let templateResponses = #"""
              \#(problem("TemplateNotFound", "The key sees no such template, or no such version of it.")),
              \#(problem("TemplateConflict", "Another template has the name (`template-name`), or there are already 1,000 templates (`template-limit`).")),
        """#
}
