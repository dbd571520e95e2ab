import RelayCore
import StrictJSON

extension JSON {
    /// A webhook as its key sees it, without its secret.
    init(_ webhook: Webhook, _ more: [JSONObject.Member] = []) {
        self = .object(
            JSONObject(
                [
                    .init("id", JSON(webhook.id.text)), .init("url", JSON(webhook.url)),
                    .init("events", .array(webhook.eventNames.map { JSON($0) })),
                    .init("tags", .array(webhook.tags.map { JSON($0) })), .init("enabled", .bool(webhook.isEnabled)),
                    .init("disabled_because", JSON(webhook.disabledBecause)),
                    .init("created_at", JSON(webhook.createdAt.rfc3339)),
                ] + more))
    }

    init(_ statistics: WebhookStatistics) {
        self = [
            "calls_24h": JSON(statistics.calls24Hours), "delivered_24h": JSON(statistics.delivered24Hours),
            "success_rate_24h": JSON(rate: statistics.delivered24Hours, of: statistics.calls24Hours),
            "calls_7d": JSON(statistics.calls7Days), "delivered_7d": JSON(statistics.delivered7Days),
            "success_rate_7d": JSON(rate: statistics.delivered7Days, of: statistics.calls7Days),
            "latency_ms": JSON(statistics.latency.map { Int($0.wholeMilliseconds) }),
            "waiting": JSON(statistics.waiting),
            "last_success": statistics.lastSuccess.map { JSON($0) } ?? .null,
            "last_failure": statistics.lastFailure.map { JSON($0) } ?? .null,
        ]
    }

    /// A call, with the request and the response.
    init(_ record: WebhookCallRecord) {
        self = [
            "id": JSON(String(record.call.id)), "event_id": JSON(record.call.event), "type": JSON(record.call.type),
            "status": JSON(record.state.rawValue), "attempts": JSON(record.call.attempts),
            "created_at": JSON(record.call.createdAt.rfc3339), "next_attempt_at": JSON(record.nextAttemptAt?.rfc3339),
            "last_attempt_at": JSON(record.lastAttemptAt?.rfc3339),
            "duration_ms": JSON(record.lastDuration.map { Int($0.wholeMilliseconds) }),
            "request_body": JSON(String(decoding: record.call.body, as: UTF8.self)),
            "response_status": JSON(record.lastStatus),
            "response_body": JSON(record.lastStatus == nil ? nil : record.lastResponse),
            "error": JSON(record.lastStatus == nil ? record.lastResponse : nil),
        ]
    }

    /// A number between 0 and 1; null if there is nothing to divide by.
    private init(rate part: Int, of whole: Int) {
        self = (whole == 0 ? nil : JSONNumber(Double(part) / Double(whole))).map { .number($0) } ?? .null
    }
}
