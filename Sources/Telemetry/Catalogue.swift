import PrometheusMetrics

/// All metrics of the relay with their help texts for operators. `etc/prometheus/README.md` lists them.
///
/// No label has values that anyone outside could choose: no key, no address, no client, no domain.
public enum Catalogue {
    /// All metrics.
    public static let all: [MetricDescription] =
        faces + admission + delivery + feedback + senderReports + webhooks + state

    static let connections = MetricDescription(
        "hiveku_relay_connections_total", .counter, "Connections accepted, by how TLS begins on them.")
    static let refusedConnections = MetricDescription(
        "hiveku_relay_connections_refused_total", .counter,
        "Connections refused, by the limit that was reached: that of all, of one client, or of one IPv6 site.")
    static let handshakes = MetricDescription(
        "hiveku_relay_tls_handshakes_total", .counter, "TLS handshakes completed, by version.")
    static let tlsFailures = MetricDescription(
        "hiveku_relay_tls_failures_total", .counter, "TLS connections that failed, by the kind of failure.")
    static let timeouts = MetricDescription(
        "hiveku_relay_connection_timeouts_total", .counter,
        "Connections closed because the client took too long, by what was waited for.")
    static let httpRequests = MetricDescription(
        "hiveku_relay_http_requests_total", .counter,
        "HTTP requests answered, by what they asked for and the kind of status.")
    static let authentications = MetricDescription(
        "hiveku_relay_authentications_total", .counter,
        "Authentications, by result: ok, or the reason word of the refusal.")
    static let refusals = MetricDescription(
        "hiveku_relay_refusals_total", .counter,
        "Replies that refuse a login, a message or a recipient, by reason word.")
    static let rateDelays = MetricDescription(
        "hiveku_relay_rate_delay_seconds", .histogram(buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]),
        "How long replies to DATA were delayed, to keep keys to their rates.")

    private static let faces = [
        connections, refusedConnections, handshakes, tlsFailures, timeouts, httpRequests,
    ]

    static let acceptedMessages = MetricDescription(
        "hiveku_relay_messages_accepted_total", .counter, "Messages taken into the queue.")
    static let acceptedEmails = MetricDescription(
        "hiveku_relay_emails_accepted_total", .counter, "Recipients of messages taken into the queue.")
    static let acceptedBytes = MetricDescription(
        "hiveku_relay_accepted_bytes_total", .counter, "Octets of messages taken into the queue.")
    static let repeatedMessages = MetricDescription(
        "hiveku_relay_messages_repeated_total", .counter,
        "Messages that a client sent again, answered 250 and not queued a second time.")
    static let storageFailures = MetricDescription(
        "hiveku_relay_storage_failures_total", .counter, "Operations that failed because of the database or its disk.")
    static let commitMessages = MetricDescription(
        "hiveku_relay_commit_messages", .histogram(buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        "Messages that one transaction took into the queue.")
    static let commitSeconds = MetricDescription(
        "hiveku_relay_commit_seconds", syncTimes,
        "How long a transaction that accepts messages takes, from call to sync."
    )
    static let syncSeconds = MetricDescription(
        "hiveku_relay_sync_seconds", syncTimes,
        "How long the disk takes to sync a transaction, whatever it is for.")

    private static let syncTimes = MetricDescription.Kind.histogram(
        buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])

    private static let admission = [
        authentications, refusals, rateDelays, acceptedMessages, acceptedEmails, acceptedBytes, repeatedMessages,
        storageFailures, commitMessages,
        commitSeconds, syncSeconds,
    ]

    static let deliveries = MetricDescription(
        "hiveku_relay_deliveries_total", .counter,
        "Attempts at deliveries, by outcome; retried ones are tried again later.")
    static let sentEmails = MetricDescription(
        "hiveku_relay_emails_sent_total", .counter, "Recipients of deliveries that were sent, or simulated.")
    static let deliveryDelays = MetricDescription(
        "hiveku_relay_delivery_delay_seconds",
        .histogram(buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]),
        "From acceptance until a delivery was sent, or simulated.")
    static let heldLanes = MetricDescription(
        "hiveku_relay_lane_held", .gauge,
        "1 while a lane is held, so that none of its messages can be sent (hiveku-relay status says why), else 0."
    )
    static let slowdowns = MetricDescription(
        "hiveku_relay_ses_slowdowns_total", .counter, "How often SES made the relay lower its rate.")
    static let sesRequests = MetricDescription(
        "hiveku_relay_ses_request_seconds",
        .histogram(buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]),
        "How long a call to SES takes, from the first octet to the answer, by outcome.")
    static let sesEmails = MetricDescription(
        "hiveku_relay_ses_emails_total", .counter,
        "Recipients in calls to SES, whatever the outcome. Its rate is the used part of the account's rate.")
    static let sesQuotaRate = MetricDescription(
        "hiveku_relay_ses_quota_emails_per_second", .gauge,
        "Emails per second that the account allows; NaN until SES has reported it.")
    static let sesQuotaDay = MetricDescription(
        "hiveku_relay_ses_quota_24h_emails", .gauge,
        "Emails in 24 hours that the account allows; +Inf without a limit, NaN until SES has reported it.")
    static let sesQuotaUsed = MetricDescription(
        "hiveku_relay_ses_quota_24h_used_emails", .gauge,
        "Emails that the account sent in the last 24 hours, through this relay or otherwise; NaN until SES has reported it."
    )

    private static let delivery = [
        deliveries, sentEmails, deliveryDelays, heldLanes, slowdowns, sesRequests, sesEmails, sesQuotaRate,
        sesQuotaDay, sesQuotaUsed,
    ]

    static let webhookCalls = MetricDescription(
        "hiveku_relay_webhook_calls_total", .counter,
        "Attempts to send an event to a webhook, by outcome; retried ones are tried again later.")
    static let webhookSeconds = MetricDescription(
        "hiveku_relay_webhook_call_seconds", .histogram(buckets: [0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15]),
        "How long an attempt to call a webhook took, including the DNS look-up and the connection.")
    static let webhooksDisabled = MetricDescription(
        "hiveku_relay_webhooks_disabled_total", .counter,
        "Webhooks that the relay has disabled: they failed for 24 hours, or answered that they are gone.")

    private static let webhooks = [webhookCalls, webhookSeconds, webhooksDisabled]

    static let webhookBacklog = MetricDescription(
        "hiveku_relay_webhook_calls_waiting", .gauge,
        "Events that wait for a webhook, for their first attempt or another; NaN while the database can't be read.")
    static let disabledWebhooks = MetricDescription(
        "hiveku_relay_webhooks_disabled", .gauge,
        "Webhooks that the relay has disabled and that were not enabled again; NaN while the database can't be read.")
    static let openConnections = MetricDescription(
        "hiveku_relay_connections_open", .gauge, "Connections that are open now.")
    static let queueDeliveries = MetricDescription(
        "hiveku_relay_queue_deliveries", .gauge,
        "Deliveries that have not ended, by lane and state. A scheduled one counts as queued once its time has come. NaN while the database can't be read."
    )
    static let queueAge = MetricDescription(
        "hiveku_relay_queue_oldest_age_seconds", .gauge,
        "How many seconds the oldest delivery has waited, since its acceptance or its scheduled time; 0 if there is none."
    )
    static let allowedRate = MetricDescription(
        "hiveku_relay_ses_rate_allowed_emails_per_second", .gauge,
        "The relay's own limit in emails per second at this time; its share where several relays use one account. NaN until it is known."
    )
    static let storeUp = MetricDescription(
        "hiveku_relay_store_up", .gauge, "1 when the database answered the last time the queue was counted, else 0.")
    static let emails30Days = MetricDescription(
        "hiveku_relay_emails_30d", .gauge,
        "Emails of the last 30 UTC days with a reported outcome: delivered, bounced (hard and soft), hard-bounced, complained."
    )
    static let bounceRate = MetricDescription(
        "hiveku_relay_bounce_rate", .gauge,
        "Hard bounces of the last 30 days divided by the emails with a known outcome; NaN if these are fewer than 100. SES reviews accounts at 0.05."
    )
    static let complaintRate = MetricDescription(
        "hiveku_relay_complaint_rate", .gauge,
        "Complaints of the last 30 days divided by the emails delivered; NaN if fewer than 100 have a known outcome. SES reviews accounts at 0.001."
    )
    static let suppressions = MetricDescription(
        "hiveku_relay_suppressions", .gauge, "Addresses on the list of suppressions, by reason.")
    static let certificateExpiry = MetricDescription(
        "hiveku_relay_certificate_expiry_timestamp_seconds", .gauge,
        "When the certificate that clients are shown expires, by the kind of its key.")
    static let diskFree = MetricDescription(
        "hiveku_relay_disk_free_bytes", .gauge,
        "Octets that are free for the relay on the file system of the database.")
    static let diskSize = MetricDescription(
        "hiveku_relay_disk_size_bytes", .gauge, "Size in octets of the file system of the database.")
    static let build = MetricDescription("hiveku_relay_build_info", .gauge, "Always 1; the version is in its label.")
    static let droppedSeries = MetricDescription(
        "hiveku_relay_metrics_dropped_series", .gauge,
        "Series that are not exposed because there are too many; should be 0.")

    private static let state = [
        openConnections, queueDeliveries, queueAge, webhookBacklog, disabledWebhooks, allowedRate, storeUp,
        emails30Days, bounceRate, complaintRate,
        suppressions, certificateExpiry, diskFree, diskSize, build, droppedSeries,
    ]
}
