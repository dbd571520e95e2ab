extension OpenAPIDocument {
    static let templateSchemas = #"""
              "TemplateID": {"type": "string", "pattern": "^tpl_[0-9a-hj-km-np-tv-z]{20}$", "examples": ["tpl_0123456789abcdefghjk"]},
              "TemplateReference": {
                "type": "string",
                "pattern": "^tpl_[0-9a-hj-km-np-tv-z]{20}(@[1-9][0-9]{0,8})?$",
                "description": "A template by its id, with or without a version.",
                "examples": ["tpl_0123456789abcdefghjk", "tpl_0123456789abcdefghjk@3"]
              },
              "TemplateVersion": {"type": "integer", "minimum": 1, "maximum": 999999999},
              "TemplateVariable": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                  "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 100,
                    "pattern": "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*){0,7}$",
                    "description": "A dotted name is nested in the values: `customer.name` is `{\"customer\": {\"name\": …}}`.",
                    "examples": ["customer.name"]
                  },
                  "type": {
                    "type": ["string", "null"],
                    "enum": ["string", "number", "boolean", "date", null],
                    "default": "string",
                    "description": "Numbers and dates are written as they are given. A date is a string: 2026-12-01, or 2026-12-01T09:00:00Z."
                  },
                  "required": {"type": ["boolean", "null"], "description": "Whether each email must give it. Without this field it is, unless it has a default."},
                  "default": {
                    "type": ["string", "number", "boolean", "null"],
                    "description": "Of the type. What the variable is where it is not given; without a default, nothing."
                  }
                }
              },
              "NewTemplate": {
                "type": "object",
                "additionalProperties": false,
                "description": "A field that is null counts as left out. At least one of `html` and `text` is needed.",
                "required": ["name"],
                "anyOf": [
                  {"required": ["html"], "properties": {"html": {"type": "string"}}},
                  {"required": ["text"], "properties": {"text": {"type": "string"}}}
                ],
                "properties": {
                  "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 100,
                    "description": "For people. Unique, where upper and lower case are the same; does not begin with `tpl_`.",
                    "examples": ["Order confirmation"]
                  },
                  "subject": {"type": ["string", "null"], "maxLength": 4096, "description": "With placeholders. Without one, each email must have its own."},
                  "html": {
                    "type": ["string", "null"],
                    "maxLength": 1048576,
                    "description": "With placeholders in text and quoted attributes; values are escaped. At most 1 MiB."
                  },
                  "text": {
                    "type": ["string", "null"],
                    "maxLength": 1048576,
                    "description": "With placeholders; values are put in as they are. At most 1 MiB."
                  },
                  "variables": {"type": ["array", "null"], "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"], "maxLength": 1000, "description": "For emails without a sender of their own. Without placeholders."},
                  "reply_to": {
                    "description": "For emails without addresses of their own. Without placeholders.",
                    "oneOf": [
                      {"type": "string", "maxLength": 1000},
                      {"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 1000}},
                      {"type": "null"}
                    ]
                  }
                }
              },
              "TemplateChange": {
                "type": "object",
                "additionalProperties": false,
                "description": "What is left out stays as it is; null removes it.",
                "properties": {
                  "name": {
                    "type": ["string", "null"],
                    "minLength": 1,
                    "maxLength": 100,
                    "description": "For people. Unique, where upper and lower case are the same; does not begin with `tpl_`.",
                    "examples": ["Order confirmation"]
                  },
                  "subject": {"type": ["string", "null"], "maxLength": 4096, "description": "With placeholders. Without one, each email must have its own."},
                  "html": {
                    "type": ["string", "null"],
                    "maxLength": 1048576,
                    "description": "With placeholders in text and quoted attributes; values are escaped. At most 1 MiB."
                  },
                  "text": {
                    "type": ["string", "null"],
                    "maxLength": 1048576,
                    "description": "With placeholders; values are put in as they are. At most 1 MiB."
                  },
                  "variables": {"type": ["array", "null"], "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"], "maxLength": 1000, "description": "For emails without a sender of their own. Without placeholders."},
                  "reply_to": {
                    "description": "For emails without addresses of their own. Without placeholders.",
                    "oneOf": [
                      {"type": "string", "maxLength": 1000},
                      {"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 1000}},
                      {"type": "null"}
                    ]
                  }
                }
              },
              "Template": {
                "type": "object",
                "required": ["id", "name", "version", "subject", "html", "text", "variables", "from", "reply_to", "created_at", "updated_at", "created_by"],
                "properties": {
                  "id": {"$ref": "#/components/schemas/TemplateID"},
                  "name": {"type": "string"},
                  "version": {"$ref": "#/components/schemas/TemplateVersion"},
                  "subject": {"type": ["string", "null"]},
                  "html": {"type": ["string", "null"]},
                  "text": {"type": ["string", "null"]},
                  "variables": {"type": "array", "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"]},
                  "reply_to": {"type": "array", "maxItems": 50, "items": {"type": "string"}},
                  "created_at": {"type": "string", "format": "date-time"},
                  "updated_at": {"type": "string", "format": "date-time"},
                  "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null where the operator did."}
                }
              },
              "TemplateWithStatistics": {
                "type": "object",
                "required": [
                  "id",
                  "name",
                  "version",
                  "subject",
                  "html",
                  "text",
                  "variables",
                  "from",
                  "reply_to",
                  "created_at",
                  "updated_at",
                  "created_by",
                  "statistics"
                ],
                "properties": {
                  "id": {"$ref": "#/components/schemas/TemplateID"},
                  "name": {"type": "string"},
                  "version": {"$ref": "#/components/schemas/TemplateVersion"},
                  "subject": {"type": ["string", "null"]},
                  "html": {"type": ["string", "null"]},
                  "text": {"type": ["string", "null"]},
                  "variables": {"type": "array", "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"]},
                  "reply_to": {"type": "array", "maxItems": 50, "items": {"type": "string"}},
                  "created_at": {"type": "string", "format": "date-time"},
                  "updated_at": {"type": "string", "format": "date-time"},
                  "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null where the operator did."},
                  "statistics": {"$ref": "#/components/schemas/MessageStatistics"}
                }
              },
              "TemplatePage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {
                    "type": "array",
                    "maxItems": 100,
                    "items": {
                      "type": "object",
                      "additionalProperties": false,
                      "required": ["id", "name", "version", "subject", "created_at", "updated_at", "created_by"],
                      "properties": {
                        "id": {"$ref": "#/components/schemas/TemplateID"},
                        "name": {"type": "string"},
                        "version": {"$ref": "#/components/schemas/TemplateVersion"},
                        "subject": {"type": ["string", "null"]},
                        "created_at": {"type": "string", "format": "date-time"},
                        "updated_at": {"type": "string", "format": "date-time"},
                        "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null where the operator did."}
                      }
                    }
                  },
                  "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."}
                }
              },
              "TemplateVersionPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {
                    "type": "array",
                    "maxItems": 100,
                    "items": {
                      "type": "object",
                      "additionalProperties": false,
                      "required": ["version", "subject", "created_at", "created_by"],
                      "properties": {
                        "version": {"$ref": "#/components/schemas/TemplateVersion"},
                        "subject": {"type": ["string", "null"]},
                        "created_at": {"type": "string", "format": "date-time"},
                        "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null where the operator did."}
                      }
                    }
                  },
                  "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."}
                }
              },
              "TemplateValues": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                  "variables": {"$ref": "#/components/schemas/Variables"},
                  "version": {"oneOf": [{"$ref": "#/components/schemas/TemplateVersion"}, {"type": "null"}], "description": "Without one, the latest."}
                }
              },
              "TemplateRollback": {
                "type": "object",
                "additionalProperties": false,
                "required": ["version"],
                "properties": {"version": {"$ref": "#/components/schemas/TemplateVersion"}}
              },
              "Variables": {
                "type": ["object", "null"],
                "description": "The values of the template's variables, nested as their names are. One that is null counts as left out.",
                "examples": [{"order": {"number": 1017}, "name": "Ann"}]
              },
              "RenderedTemplate": {
                "type": "object",
                "additionalProperties": false,
                "required": ["subject", "html", "text", "from", "reply_to"],
                "properties": {
                  "subject": {"type": ["string", "null"]},
                  "html": {"type": ["string", "null"]},
                  "text": {"type": ["string", "null"]},
                  "from": {"type": ["string", "null"]},
                  "reply_to": {"type": "array", "maxItems": 50, "items": {"type": "string"}}
                }
              },
              "RecipientCounts": {
                "type": "object",
                "additionalProperties": false,
                "required": ["sent", "delivered", "bounced", "complained"],
                "description": "Recipients, each once.",
                "properties": {
                  "sent": {"type": "integer", "minimum": 0},
                  "delivered": {"type": "integer", "minimum": 0},
                  "bounced": {"type": "integer", "minimum": 0},
                  "complained": {"type": "integer", "minimum": 0}
                }
              },
              "MessageStatistics": {
                "type": "object",
                "additionalProperties": false,
                "required": ["today", "7_days", "30_days"],
                "description": "Of this UTC day, and of the 7 and 30 days that end with it.",
                "properties": {
                  "today": {"$ref": "#/components/schemas/RecipientCounts"},
                  "7_days": {"$ref": "#/components/schemas/RecipientCounts"},
                  "30_days": {"$ref": "#/components/schemas/RecipientCounts"}
                }
              },
              "TagPage": {
                "type": "object",
                "required": ["data", "next_cursor"],
                "properties": {
                  "data": {
                    "type": "array",
                    "maxItems": 100,
                    "items": {
                      "type": "object",
                      "additionalProperties": false,
                      "required": ["tag", "statistics"],
                      "properties": {
                        "tag": {"type": ["string", "null"], "description": "Null: all tags beyond the first 1,000 of a day, together."},
                        "statistics": {"$ref": "#/components/schemas/MessageStatistics"}
                      }
                    }
                  },
                  "next_cursor": {"type": ["string", "null"], "description": "For the next page; null on the last one."}
                }
              },
        """#
}
