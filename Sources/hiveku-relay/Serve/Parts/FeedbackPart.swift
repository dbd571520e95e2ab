import AWSClient
import Feedback
import Logging
import RelayCore
import ServiceLifecycle
import Settings
import Telemetry

/// Runs the consumer of the SQS queue that SES's events arrive in.
struct FeedbackPart: RelayPart {
    let consumer: FeedbackConsumer
    let client: SQSClient

    func run(among _: RelayParts) async {
        await cancelWhenGracefulShutdown { await consumer.run() }
        await client.shutdown()
    }

    /// Nil if no queue is set.
    init?(
        _ settings: RelaySettings, store: any RelayStore, metrics: RelayMetrics?, environment: [String: String],
        clock: any RelayClock, logger: Logger
    ) throws(SQSQueueError) {
        guard let queue = try SQSQueue(settings) else { return nil }
        client = SQSClient(
            queue: queue,
            credentials: CredentialsChain(settings.ses, environment: environment, clock: clock, logger: logger),
            connections: FeedbackConsumer.connections, clock: clock, logger: logger)
        consumer = FeedbackConsumer(
            queue: client, store: store, clock: clock, logger: logger, observe: { metrics?.observe($0) })
        metrics?.readsFeedback()
        logger.notice(
            "events of sent messages are read from a queue",
            metadata: ["queue": "\(queue.url)", "region": "\(queue.region)"])
    }
}
