import RelayCore
import TestSupport
import Testing

/// How a recipient's status follows from the records.
@Suite struct RecipientEventTests {
    private static let start = Sample.now
    private static let address = "to@example.net"
    private static let hard = RecipientEvent.Detail(bounceType: .hard)
    private static let soft = RecipientEvent.Detail(bounceType: .soft)

    private static func event(_ kind: EventKind, _ seconds: Int, _ detail: RecipientEvent.Detail = .init())
        -> RecipientEvent
    {
        RecipientEvent(kind, at: start + .seconds(seconds), detail)
    }

    private static func attempt(_ outcome: String, _ seconds: Int, _ reason: String? = nil) -> MessageRecord.Attempt {
        .init(startedAt: start, finishedAt: start + .seconds(seconds), outcome: outcome, reason: reason)
    }

    private func record(
        _ state: DeliveryState, _ history: [MessageRecord.Attempt] = [], told: [RecipientEvent] = [],
        reason: String? = nil,
        scheduled: Bool = false
    ) throws -> RecipientRecord {
        let due = scheduled ? Self.start + .seconds(600) : Self.start
        let delivery = MessageRecord.Delivery(
            recipients: [Self.address], state: state, attempts: history.count,
            nextAttemptAt: state == .queued ? due : nil, sesMessageID: nil, reason: reason, maybeDuplicate: false,
            endedAt: state.isFinal ? Self.start + .seconds(5) : nil, history: history)
        let message = MessageRecord(
            id: try #require(MessageID(rawValue: 1)), key: Sample.key().secret.id, environment: .live, client: nil,
            reversePath: "from@a.example", subject: nil, size: 1, acceptedAt: Self.start, hasBody: true,
            scheduledAt: scheduled ? due : nil, deliveries: [delivery],
            reported: told.map { ReportedEvent($0, of: Self.address) }, now: Self.start)
        let records = message.recipientRecords
        #expect(records.map(\.address) == [Self.address])
        return try #require(records.first)
    }

    @Test(arguments: [
        (DeliveryState.queued, [MessageRecord.Attempt](), RecipientStatus.queued),
        (.queued, [attempt("retry", 1, "ServiceUnavailable: no")], .queued), (.sending, [], .sending),
        (.held, [], .held), (.sent, [attempt("sent", 1)], .sent), (.simulated, [attempt("simulated", 1)], .sent),
        (.failed, [attempt("failed", 1, "no")], .failed), (.failed, [], .failed), (.cancelled, [], .cancelled),
        (.sent, [], .sent),
        // An operator retried the delivery.
        (.queued, [attempt("failed", 1)], .queued), (.sending, [attempt("failed", 1)], .sending),
        (.sent, [attempt("failed", 1), attempt("sent", 3)], .sent),
    ])
    func followsFromTheDelivery(
        _ state: DeliveryState, _ history: [MessageRecord.Attempt], _ status: RecipientStatus
    ) throws {
        #expect(try record(state, history).status == status)
    }

    @Test("Reported events come after the sending of the message, whatever the clocks say")
    func order() throws {
        let told = [Self.event(.complained, 0), Self.event(.delivered, 0), Self.event(.delayed, -5)]
        let record = try record(.sent, [Self.attempt("sent", 2)], told: told)
        #expect(record.events.map(\.kind) == [.queued, .sent, .delayed, .delivered, .complained])
        #expect(record.events.map(\.at).suffix(2) == [Self.start, Self.start])
    }

    @Test func scheduledDeliveryHasTheScheduledStatus() throws {
        let scheduled = try record(.queued, scheduled: true)
        #expect(scheduled.status == .scheduled)
        #expect(scheduled.events.map(\.kind) == [.scheduled])
    }

    @Test(arguments: [
        ([event(.delayed, 2)], RecipientStatus.delayed), ([event(.delayed, 2), event(.delivered, 3)], .delivered),
        ([event(.delivered, 2), event(.complained, 9)], .complained),
        ([event(.bounced, 2, hard), event(.delivered, 3)], .bounced),
        // A soft bounce after the delivery is an automatic reply, not a failure.
        ([event(.delivered, 2), event(.bounced, 3, soft)], .delivered), ([event(.bounced, 3, soft)], .bounced),
        ([event(.rejected, 2)], .rejected), ([event(.failed, 2)], .failed),
        ([event(.complained, 2), event(.bounced, 9, hard)], .complained),
    ])
    func theWeightiestEventCounts(_ told: [RecipientEvent], _ status: RecipientStatus) throws {
        for order in [told, told.reversed(), told + told] {
            #expect(try record(.sent, [Self.attempt("sent", 1)], told: order).status == status)
        }
    }

    @Test func suppressedRecipientHasNoSentEvent() throws {
        let suppressed = Self.event(.suppressed, 1, .init(diagnostic: "on the list"))
        for state in [DeliveryState.sent, .suppressed, .failed, .queued, .sending] {
            let recipient = try record(state, [Self.attempt("sent", 2)], told: [suppressed])
            #expect(recipient.status == .suppressed)
            #expect(recipient.events.map(\.kind) == [.queued, .suppressed])
            #expect(recipient.detail == "on the list")
        }
    }

    @Test func attemptsAndReportedEventsAreOrderedByTime() throws {
        let recipient = try record(
            .sent, [Self.attempt("retry", 1, "later"), Self.attempt("sent", 2)],
            told: [
                Self.event(.complained, 9),
                Self.event(.delivered, 3, .init(diagnostic: "250 ok", server: "mx.example")),
            ])
        #expect(recipient.events.map(\.kind) == [.queued, .sent, .delivered, .complained])
        #expect(recipient.events[2].sentence.mentions("250 ok", "mx.example"))
        #expect(recipient.at == Self.start + .seconds(9))
    }

    @Test func queuedRecipientShowsTheLastAttemptsReasonAndTime() throws {
        let recipient = try record(.queued, [Self.attempt("retry", 4, "later")], reason: "later")
        #expect(recipient.detail == "later")
        #expect(recipient.at == Self.start + .seconds(4))
        let dropped = try record(.failed, [Self.attempt("retry", 4)], reason: droppedReason)
        #expect(dropped.status == .failed && dropped.detail == droppedReason)
        // The delivery had failed before, and was queued again.
        let again = try record(.failed, [Self.attempt("failed", 1, "no")], reason: droppedReason)
        #expect(again.detail == droppedReason && again.events.map(\.kind) == [.queued, .failed, .failed])
    }

    @Test func externalTextsAreTruncated() {
        let long = String(repeating: "x", count: 9_000)
        let detail = RecipientEvent.Detail(subtype: long, diagnostic: long, server: long, feedbackID: long).bounded
        for text in [detail.subtype, detail.diagnostic, detail.server, detail.feedbackID] {
            #expect(text?.count == RecipientEvent.Detail.longestText)
        }
    }

    @Test func rateWarningsNeedEnoughDeliveries() {
        let bad = SendingStanding(FeedbackCounts(deliveries: 90, bounces: 10, hardBounces: 9, complaints: 1))
        #expect(!bad.bouncesTooOften && !bad.complainedOfTooOften)
        let worse = SendingStanding(FeedbackCounts(deliveries: 950, bounces: 60, hardBounces: 50, complaints: 1))
        #expect(worse.bounceRate == 0.05 && worse.bouncesTooOften && worse.complainedOfTooOften)
        let well = SendingStanding(FeedbackCounts(deliveries: 10_000, bounces: 99, hardBounces: 9, complaints: 9))
        #expect(!well.bouncesTooOften && !well.complainedOfTooOften)
        #expect(SendingStanding(FeedbackCounts()).bounceRate == nil)
    }
}
