import RelayCore

extension RelaySettings {
    /// All settings, in the order of `etc/relay.yaml`.
    public static let reference: [Setting] =
        general + httpSettings + tlsSettings + submissionSettings + sesSettings + feedbackSettings + bouncesSettings
        + deliverySettings + retentionSettings + storageSettings + logSettings + webhookSettings + metricsSettings
        + adminSettings

    /// Variables that have the settings' prefix but are not settings.
    public static let otherVariables: [(name: String, description: String)] = [
        (configurationVariable, "The settings file, if --config does not name one.")
    ]

    static let configurationVariable = Setting.environmentPrefix + "CONFIG"

    /// The names of the sections in the file, in order.
    static let sections: [String] = reference.reduce(into: []) { sections, setting in
        if let section = setting.section, !sections.contains(section) { sections.append(section) }
    }

    private static let general: [Setting] = [
        Setting(
            "hostname", \.hostname, .hostName, unwritten: "the machine's host name",
            "The relay's name, for the greeting and the Received field."),
        Setting(
            "database", \.database, .database, needsRestart: true, mayHoldSecret: true,
            "Keys, usage and queue: the path of an SQLite database, with large messages in a directory beside it, or the URI of "
                + "a PostgreSQL database, which several relays can share."),
        Setting(
            "database_replica", \.databaseReplica, .word, needsRestart: true,
            "Whether PostgreSQL must have a synchronous standby: with required, mail is acknowledged only while there is one."
        ),
        Setting(
            "listen", \.listen, listOf: .listener, 1...32, isDistinct: true, needsRestart: true,
            "Where SMTP clients connect: smtp (STARTTLS), smtps (implicit TLS), or systemd for sockets from systemd; smtp+proxy "
                + "and smtps+proxy behind a load balancer."),
        Setting(
            "proxy_networks", \.proxyNetworks, listOf: .network, 0...256, isDistinct: true,
            "Load balancers whose PROXY headers are accepted, on listeners with +proxy in their scheme."),
    ]

    private static let httpSettings: [Setting] = [
        Setting(
            "http.listen", \.http.listen, listOf: .httpListener, 0...32, isDistinct: true, needsRestart: true,
            "Where the HTTP API listens: https, https+proxy behind a load balancer, http on loopback addresses, a Unix socket, "
                + "or systemd for sockets from systemd."),
        Setting(
            "http.trusted_proxies", \.http.trustedProxies, listOf: .network, 0...256, isDistinct: true,
            "Reverse proxies that may use HTTP without TLS, and whose X-Forwarded-For names the client."),
    ]

    private static let tlsSettings: [Setting] = [
        Setting(
            "tls.certificate", \.tls.certificates, listOf: .path, 0...8, isDistinct: false,
            "PEM files, each a certificate with its chain; several to offer both RSA and ECDSA."),
        Setting(
            "tls.private_key", \.tls.privateKeys, listOf: .path, 0...8, isDistinct: false,
            "PEM files with the certificates' keys, in the same order."),
        Setting("tls.minimum_version", \.tls.minimumVersion, .word, "The oldest TLS version that is allowed."),
        Setting(
            "tls.compatibility", \.tls.compatibility, .word,
            "Which TLS 1.2 cipher suites are allowed: old-devices adds CBC and RSA key exchange."),
    ]

    private static let submissionSettings: [Setting] = [
        Setting(
            "submission.max_message_size", \.submission.maximumMessageSize, .size(64 << 10...28 << 20),
            "The largest message. SES accepts 40 MB in base64, which 28 MiB nearly fills."),
        Setting(
            "submission.max_recipients", \.submission.maximumRecipients, .wholeNumber(1...1000),
            "The most recipients of one message."),
        Setting(
            "submission.max_connections", \.submission.maximumConnections, .wholeNumber(1...100_000),
            "The most connections at a time."),
        Setting(
            "submission.max_connections_per_client", \.submission.maximumConnectionsPerClient,
            .wholeNumber(1...100_000),
            "The most connections at a time from one address (IPv6: from one /64)."),
        Setting(
            "submission.idle_timeout", \.submission.idleTimeout, .duration(.seconds(1), .seconds(3600)),
            "The longest time between two commands of a client."),
        Setting(
            "submission.auth_timeout", \.submission.authenticationTimeout, .duration(.seconds(1), .seconds(600)),
            "How long a client may take to authenticate after it has connected."),
        Setting(
            "submission.max_rate_delay", \.submission.maximumRateDelay, .duration(.zero, .seconds(60)),
            "How long a message over SMTP may be delayed if its key sends too fast; for a longer time, it is refused."
        ),
        Setting(
            "submission.plaintext_auth_networks", \.submission.plaintextAuthenticationNetworks, listOf: .network,
            0...256,
            isDistinct: true,
            "Clients that may authenticate without TLS. Their keys are readable on the network."),
        Setting(
            "submission.long_lines", \.submission.longLines, .word,
            "What to do with messages that have lines over 998 octets, which SES does not accept."),
        Setting(
            "submission.refused_attachments", \.submission.refusedAttachments, listOf: .attachmentEnding, 0...512,
            isDistinct: true,
            "File name extensions that attachments must not have. SES refuses the extensions of the default."),
        Setting(
            "submission.received_header", \.submission.receivedHeader, .truth,
            "Whether a Received field with the client's address is added."),
        Setting(
            "submission.detect_repeats", \.submission.detectsRepeats, .truth,
            "Whether a message that a client sends again within a day is answered 250 but queued only once."),
    ]

    private static let sesSettings: [Setting] = [
        Setting(
            "ses.region", \.ses.region, .optional(.region), unwritten: "none", needsRestart: true,
            "The AWS region. Live keys need it."),
        Setting(
            "ses.endpoint", \.ses.endpoint, .optional(.endpoint("email")), unwritten: "the region's",
            needsRestart: true,
            "A different endpoint for SES: a VPC endpoint, or a simulator."),
        Setting(
            "ses.configuration_set", \.ses.configurationSet, .optional(.configurationSet), unwritten: "none",
            needsRestart: true,
            "The SES configuration set that messages are sent with."),
        Setting(
            "ses.max_send_rate", \.ses.maximumSendRate, .sendRate(0.01...100_000),
            "Emails per second to SES; auto uses the account's quota."),
        Setting(
            "ses.concurrency", \.ses.concurrency, .wholeNumber(1...1000), needsRestart: true,
            "The most calls to SES at a time."),
        Setting(
            "ses.credentials_file", \.ses.credentialsFile, .optional(.path), unwritten: "none", needsRestart: true,
            "A file in the form of ~/.aws/credentials."),
        Setting(
            "ses.profile", \.ses.profile, .optional(.profile), unwritten: "none", needsRestart: true,
            "The profile in that file."),
    ]

    private static let feedbackSettings: [Setting] = [
        Setting(
            "feedback.queue_url", \.feedback.queueURL, .optional(.queueURL), unwritten: "none", needsRestart: true,
            "The SQS queue with SES's events about messages."),
        Setting(
            "feedback.region", \.feedback.region, .optional(.region), unwritten: "the one in queue_url",
            needsRestart: true, "The AWS region of that queue."),
        Setting(
            "feedback.endpoint", \.feedback.endpoint, .optional(.endpoint("sqs")), unwritten: "the queue's own",
            needsRestart: true, "A different endpoint for SQS: a VPC endpoint, or a simulator."),
    ]

    private static let bouncesSettings: [Setting] = [
        Setting(
            "bounces.from", \.bounces.from, .optional(.senderAddress), unwritten: "none",
            "The sender of failure reports, which go to the envelope senders of messages. Empty: there are no reports."),
        Setting(
            "bounces.for_events", \.bounces.forEvents, .truth,
            "Whether bounces and rejections that SES reports are also reported to senders."),
    ]

    private static let deliverySettings: [Setting] = [
        Setting(
            "delivery.retry_first", \.delivery.retryFirst, .duration(.seconds(1), .seconds(86_400)),
            "The pause before the second attempt; it doubles with each further attempt."),
        Setting(
            "delivery.retry_max", \.delivery.retryMaximum, .duration(.seconds(1), .seconds(86_400)),
            "The longest pause between attempts."),
        Setting(
            "delivery.give_up_after", \.delivery.giveUpAfter, .duration(.seconds(1), .seconds(14 * 86_400)),
            "How long delivery is attempted before the message fails."),
    ]

    private static let retentionSettings: [Setting] = [
        Setting(
            "retention.sent", \.retention.sent, retentionTime,
            "How long records of sent messages are kept. Their bodies are deleted as soon as they are sent."),
        Setting(
            "retention.simulated", \.retention.simulated, retentionTime,
            "How long simulated sends are kept, with their bodies."),
        Setting(
            "retention.simulated_size", \.storage.simulatedSize, .size(1 << 20...1 << 50),
            "The total size of the bodies of test keys' messages; the oldest are deleted first."),
        Setting(
            "retention.failed", \.retention.failed, retentionTime,
            "How long failed messages are kept, with their bodies."),
    ]

    private static let storageSettings: [Setting] = [
        Setting(
            "storage.reserve", \.storage.reserve, .size(0...1 << 50),
            "With less free disk space than this, only small messages of live keys are accepted."),
        Setting(
            "storage.reserve_test", \.storage.reserveTest, .size(0...1 << 50),
            "With less free disk space than this, mail from test keys is refused."),
    ]

    private static let logSettings: [Setting] = [
        Setting("log.level", \.log.level, .word, "The least severe messages that are logged."),
        Setting("log.format", \.log.format, .word, "Text lines for people, or one JSON object per line."),
    ]

    private static let webhookSettings: [Setting] = [
        Setting(
            "webhooks.private_networks", \.webhooks.privateNetworks, listOf: .network, 0...256, isDistinct: true,
            "Networks that webhooks may reach although they are not public; http:// is allowed in them too.")
    ]

    private static let metricsSettings: [Setting] = [
        Setting(
            "metrics.listen", \.metrics.listen, .optional(.metricsListener), unwritten: "none", needsRestart: true,
            "Where metrics and health are available over HTTP, only on this machine: a loopback address or a Unix socket."
        )
    ]

    private static let adminSettings: [Setting] = [
        Setting(
            "admin.listen", \.admin.listen, .optional(.adminListener), unwritten: "none", needsRestart: true,
            "Where the operator's page listens, only on this machine: a Unix socket, or http:// and a loopback address."
        )
    ]

    private static let retentionTime = ValueKind.duration(.seconds(60), .seconds(3650 * 86_400))
}
