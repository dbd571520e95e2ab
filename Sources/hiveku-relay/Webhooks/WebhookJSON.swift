import RelayCore

extension JSONValue {
    /// A webhook without its secret.
    init(_ webhook: Webhook, _ more: [String: JSONValue] = [:]) {
        let members: [String: JSONValue] = [
            "id": .string(webhook.id.text), "key": .string(webhook.key.text), "url": .string(webhook.url),
            "events": JSONValue(webhook.eventNames), "tags": JSONValue(webhook.tags),
            "enabled": .bool(webhook.isEnabled),
            "disabled_because": JSONValue(webhook.disabledBecause), "failing_since": JSONValue(webhook.failingSince),
            "created_at": JSONValue(webhook.createdAt),
        ]
        self = .object(members.merging(more) { $1 })
    }

    init(_ statistics: WebhookStatistics) {
        self = .object([
            "calls_24h": .integer(statistics.calls24Hours), "delivered_24h": .integer(statistics.delivered24Hours),
            "calls_7d": .integer(statistics.calls7Days), "delivered_7d": .integer(statistics.delivered7Days),
            "latency_ms": JSONValue(statistics.latency.map { Int($0.wholeMilliseconds) }),
            "waiting": .integer(statistics.waiting),
            "last_success": statistics.lastSuccess.map { JSONValue($0) } ?? .null,
            "last_failure": statistics.lastFailure.map { JSONValue($0) } ?? .null,
        ])
    }

    /// A call, with the request and the response. The names are those of the HTTP API.
    init(_ record: WebhookCallRecord) {
        self = .object([
            "id": .string(String(record.call.id)), "event_id": .string(record.call.event),
            "type": .string(record.call.type), "status": .string(record.state.rawValue),
            "attempts": .integer(record.call.attempts), "created_at": JSONValue(record.call.createdAt),
            "next_attempt_at": JSONValue(record.nextAttemptAt), "last_attempt_at": JSONValue(record.lastAttemptAt),
            "duration_ms": JSONValue(record.lastDuration.map { Int($0.wholeMilliseconds) }),
            "request_body": .string(String(decoding: record.call.body, as: UTF8.self)),
            "response_status": JSONValue(record.lastStatus),
            "response_body": JSONValue(record.lastStatus == nil ? nil : record.lastResponse),
            "error": JSONValue(record.lastStatus == nil ? record.lastResponse : nil),
        ])
    }
}
