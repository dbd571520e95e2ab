import PrometheusMetrics

extension Catalogue {
    static let feedbackMessages = MetricDescription(
        "hiveku_relay_feedback_messages_total", .counter,
        "Messages taken from the SQS queue of SES events.")
    static let feedbackEvents = MetricDescription(
        "hiveku_relay_feedback_events_total", .counter,
        "Events of recipients that were recorded, by kind. An event that is reported several times counts once.")
    static let feedbackRepeated = MetricDescription(
        "hiveku_relay_feedback_repeated_total", .counter, "Events of recipients that had been reported before.")
    static let feedbackPassedOver = MetricDescription(
        "hiveku_relay_feedback_passed_over_total", .counter,
        "Messages of the SQS queue that need no record, by their type.")
    static let feedbackDropped = MetricDescription(
        "hiveku_relay_feedback_dropped_total", .counter,
        "Messages and events that were given up, by reason; expired events are mostly for messages of other senders.")
    static let feedbackWaiting = MetricDescription(
        "hiveku_relay_feedback_waiting", .gauge,
        "Events whose message the relay does not know yet; NaN without an SQS queue.")
    static let feedbackLast = MetricDescription(
        "hiveku_relay_feedback_last_message_timestamp_seconds", .gauge,
        "When a message was last taken from the SQS queue; NaN before the first.")
    static let feedbackFailing = MetricDescription(
        "hiveku_relay_feedback_queue_failing", .gauge,
        "1 while the SQS queue can't be read, else 0; NaN without an SQS queue.")
    static let feedbackFailures = MetricDescription(
        "hiveku_relay_feedback_queue_failures_total", .counter,
        "How often reading the SQS queue began to fail, by reason.")

    static let senderReportCount = MetricDescription(
        "hiveku_relay_sender_reports_total", .counter,
        "Reports to senders about recipients that a message did not reach, by outcome: queued, or given up because the sender can't be reached."
    )

    static let senderReports = [senderReportCount]

    static let feedback = [
        feedbackMessages, feedbackEvents, feedbackRepeated, feedbackPassedOver, feedbackDropped, feedbackWaiting,
        feedbackLast, feedbackFailing, feedbackFailures,
    ]
}
