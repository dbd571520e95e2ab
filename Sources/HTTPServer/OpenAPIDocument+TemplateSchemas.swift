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
                  "required": {"type": ["boolean", "null"], "description": "Whether each email must provide it. If this field is missing, it is required unless it has a default."},
                  "default": {
                    "type": ["string", "number", "boolean", "null"],
                    "description": "The value of a variable that an email does not provide, of the variable's type; without a default, the variable is empty."
                  }
                }
              },
              "NewTemplate": {
                "type": "object",
                "additionalProperties": false,
                "description": "A field that is null counts as missing. At least one of `html` and `text` is required.",
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
                    "description": "A name for people. It is unique, ignoring upper and lower case, and does not begin with `tpl_`.",
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
                    "description": "With placeholders; values are inserted unchanged. At most 1 MiB."
                  },
                  "variables": {"type": ["array", "null"], "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"], "maxLength": 1000, "description": "The sender for emails without their own. Without placeholders."},
                  "reply_to": {
                    "description": "The addresses for emails without their own. Without placeholders.",
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
                "description": "Missing fields stay as they are; null removes a field.",
                "properties": {
                  "name": {
                    "type": ["string", "null"],
                    "minLength": 1,
                    "maxLength": 100,
                    "description": "A name for people. It is unique, ignoring upper and lower case, and does not begin with `tpl_`.",
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
                    "description": "With placeholders; values are inserted unchanged. At most 1 MiB."
                  },
                  "variables": {"type": ["array", "null"], "maxItems": 200, "items": {"$ref": "#/components/schemas/TemplateVariable"}},
                  "from": {"type": ["string", "null"], "maxLength": 1000, "description": "The sender for emails without their own. Without placeholders."},
                  "reply_to": {
                    "description": "The addresses for emails without their own. Without placeholders.",
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
                  "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null if the operator did."}
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
                  "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null if the operator did."},
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
                        "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null if the operator did."}
                      }
                    }
                  },
                  "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."}
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
                        "created_by": {"type": ["string", "null"], "description": "The key that saved the version; null if the operator did."}
                      }
                    }
                  },
                  "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."}
                }
              },
              "TemplateValues": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                  "variables": {"$ref": "#/components/schemas/Variables"},
                  "version": {"oneOf": [{"$ref": "#/components/schemas/TemplateVersion"}, {"type": "null"}], "description": "If it is missing, the latest."}
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
                "description": "The values of the template's variables, nested like their names. A value that is null counts as missing.",
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
                "description": "The number of recipients, each counted once.",
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
                "description": "Counts of this UTC day, and of the 7 and 30 days that end with it.",
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
                  "next_cursor": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."}
                }
              },
        """#
}
