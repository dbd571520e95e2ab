import Logging
import RelayCore

/// Writes a worker's log lines and calls its observer.
///
/// There is one line for each delivery that ended and for each retry. In a long outage there are fewer lines for
/// retries, so that the log stays readable.
struct DeliveryLog: Sendable {
    private let lane: Lane
    private let logger: Logger
    private let observe: @Sendable (DeliveryEvent) -> Void

    init(lane: Lane, logger: Logger, observe: @escaping @Sendable (DeliveryEvent) -> Void) {
        var logger = logger
        logger[metadataKey: "lane"] = "\(lane.rawValue)"
        self.lane = lane
        self.logger = logger
        self.observe = observe
    }

    func tell(_ notes: [LaneMachine.Note]) {
        for note in notes { tell(note) }
    }

    private func tell(_ note: LaneMachine.Note) {
        switch note {
        case .ended(let delivery, let settlement): ended(delivery, settlement)
        case .suppressed(let delivery):
            logger.info(
                "suppressed: every recipient is on the list of suppressions",
                metadata: [
                    "message": "\(delivery.message)", "key": "\(delivery.key)", "delivery": "\(delivery.id.rawValue)",
                    "recipients": "\(delivery.envelope.recipients.count)",
                ])
            observe(.suppressed(delivery))
        case .retried(let delivery, let settlement, let line): retried(delivery, settlement, line)
        case .outageEnded(let retries, let seconds):
            logger.notice("deliveries succeed again, after \(retries) retries in \(whole(seconds)) s")
        case .slowedDown(let rate, let isNews):
            if isNews {
                logger.notice("SES asks for a lower rate; now sending at most \(tenths(rate)) emails per second")
            }
            observe(.slowedDown(lane, rate: rate))
        case .held(let cause, let alert):
            logger.log(level: alert ? .critical : .warning, "the lane is held: \(cause)")
            observe(.laneHeld(lane, cause))
        case .resumed(let seconds):
            logger.notice("the lane moves again, it was held for \(whole(seconds)) s")
            observe(.laneResumed(lane))
        case .storeFailed(let error):
            logger.error("the mail queue can't be read or written, trying again: \(error)")
            observe(.storeFailed(lane, error))
        case .storeRecovered(let seconds):
            logger.notice("the mail queue can be read and written again, after \(whole(seconds)) s")
            observe(.storeRecovered(lane))
        case .reclaimed(let count):
            logger.notice("deliveries that were being sent when the relay stopped are queued again: \(count)")
        case .broughtForward(let count):
            logger.notice(
                "the clock was set back, which left \(count) deliveries waiting for a time far in the future; they are due now"
            )
        case .unrecorded(let count):
            logger.error(
                "the outcomes of \(count) deliveries can't be recorded; these deliveries will be sent again, and may arrive twice"
            )
        }
    }

    private func ended(_ delivery: ClaimedDelivery, _ settlement: Settlement) {
        switch settlement.result {
        case .sent(let id): logger.info("sent", metadata: metadata(delivery, settlement, sesMessageID: id))
        case .simulated(let id): logger.info("simulated", metadata: metadata(delivery, settlement, sesMessageID: id))
        case .failed, .retry, .released:
            // The message was accepted long ago. The application learns of the failure only by a webhook, a report or a
            // look at the message, so the operator must learn of it too.
            logger.warning(
                "failed permanently; 'hiveku-relay messages show \(delivery.message)' says what to do",
                metadata: metadata(delivery, settlement))
        }
        observe(.ended(delivery, settlement))
    }

    private func retried(_ delivery: ClaimedDelivery, _ settlement: Settlement, _ line: OutageLog.Line) {
        let level: Logger.Level = line == .each ? .notice : .debug
        logger.log(level: level, "will be tried again", metadata: metadata(delivery, settlement))
        if case .summary(let retries) = line {
            logger.warning(
                "no message could be sent in the last \(retries) attempts; the last error: \(settlement.reason ?? "unknown")"
            )
        }
        observe(.retried(delivery, settlement))
    }

    private func metadata(
        _ delivery: ClaimedDelivery, _ settlement: Settlement, sesMessageID: String? = nil
    ) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "message": "\(delivery.message)", "key": "\(delivery.key)", "delivery": "\(delivery.id.rawValue)",
            "recipients": "\(delivery.envelope.recipients.count)", "attempt": "\(delivery.attempts + 1)",
        ]
        if let sesMessageID { metadata["ses"] = "\(sesMessageID)" }
        if let reason = settlement.reason { metadata["reason"] = "\(reason)" }
        if case .retry(let due) = settlement.result { metadata["next"] = "\(due)" }
        if delivery.maybeDuplicate || settlement.mayHaveBeenTaken { metadata["maybe-duplicate"] = "true" }
        return metadata
    }

    private func whole(_ seconds: Double) -> Int { Int(min(max(seconds, 0), 1e15)) }
    private func tenths(_ rate: Double) -> Double { (rate * 10).rounded() / 10 }
}
