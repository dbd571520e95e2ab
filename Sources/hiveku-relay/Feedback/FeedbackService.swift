import AWSClient
import Feedback
import Logging
import RelayCore
import ServiceLifecycle
import Settings
import Telemetry

/// Runs the consumer of the SQS queue that SES's events arrive in.
struct FeedbackService: Service {
    let consumer: FeedbackConsumer
    let client: SQSClient

    func run() async {
        await cancelWhenGracefulShutdown { await consumer.run() }
        await client.shutdown()
    }

    /// Empty if no queue is set.
    static func services(
        _ settings: RelaySettings, store: any RelayStore, metrics: RelayMetrics?, environment: [String: String],
        clock: any RelayClock, logger: Logger
    ) throws(SQSQueueError) -> [any Service] {
        guard let queue = try SQSQueue(settings) else { return [] }
        let client = SQSClient(
            queue: queue,
            credentials: CredentialsChain(settings.ses, environment: environment, clock: clock, logger: logger),
            connections: FeedbackConsumer.connections, clock: clock, logger: logger)
        metrics?.readsFeedback()
        logger.notice(
            "events of sent messages are read from a queue",
            metadata: ["queue": "\(queue.url)", "region": "\(queue.region)"])
        return [
            FeedbackService(
                consumer: FeedbackConsumer(
                    queue: client, store: store, clock: clock, logger: logger, observe: { metrics?.observe($0) }),
                client: client)
        ]
    }
}

extension SQSQueue {
    /// Nil if no queue is set.
    init?(_ settings: RelaySettings) throws(SQSQueueError) {
        guard let url = settings.feedback.queueURL, let region = settings.feedbackRegion else { return nil }
        try self.init(url: url, region: region, endpoint: settings.feedback.endpoint)
    }
}

extension CredentialsChain {
    init(_ settings: RelaySettings.SES, environment: [String: String], clock: any RelayClock, logger: Logger) {
        self.init(
            environment: environment, credentialsFile: settings.credentialsFile, profile: settings.profile,
            clock: clock, logger: logger)
    }
}
