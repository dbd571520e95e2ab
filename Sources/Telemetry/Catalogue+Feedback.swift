import PrometheusMetrics

extension Catalogue {
    static let feedbackMessages = MetricDescription(
        "hiveku_relay_feedback_messages_total", .counter,
        "Messages taken from the queue in which SES tells what became of mail.")
    static let feedbackEvents = MetricDescription(
        "hiveku_relay_feedback_events_total", .counter,
        "Events of recipients that were recorded, each once however often it is told, by kind.")
    static let feedbackRepeated = MetricDescription(
        "hiveku_relay_feedback_repeated_total", .counter, "Events of recipients that had been told before.")
    static let feedbackPassedOver = MetricDescription(
        "hiveku_relay_feedback_passed_over_total", .counter,
        "Messages of the queue that need no record, by what they are.")
    static let feedbackDropped = MetricDescription(
        "hiveku_relay_feedback_dropped_total", .counter,
        "Messages and events that were given up, by reason; expired ones mostly belong to other senders.")
    static let feedbackWaiting = MetricDescription(
        "hiveku_relay_feedback_waiting", .gauge,
        "Events that wait for their message to be known; NaN where no queue is set.")
    static let feedbackLast = MetricDescription(
        "hiveku_relay_feedback_last_message_timestamp_seconds", .gauge,
        "When a message was last taken from the queue; NaN until one is.")
    static let feedbackFailing = MetricDescription(
        "hiveku_relay_feedback_queue_failing", .gauge,
        "1 while the queue can't be read, else 0; NaN where no queue is set.")
    static let feedbackFailures = MetricDescription(
        "hiveku_relay_feedback_queue_failures_total", .counter,
        "How often reading the queue began to fail, by reason.")

    static let senderReportCount = MetricDescription(
        "hiveku_relay_sender_reports_total", .counter,
        "Messages whose sender was due to hear by mail of recipients whom they did not reach, by outcome: a report is queued, or given up as nobody can be told."
    )

    static let senderReports = [senderReportCount]

    static let feedback = [
        feedbackMessages, feedbackEvents, feedbackRepeated, feedbackPassedOver, feedbackDropped, feedbackWaiting,
        feedbackLast, feedbackFailing, feedbackFailures,
    ]
}
