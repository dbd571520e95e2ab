import RelayCore
import TestSupport

private let second = Duration.seconds(1)

extension Bench {
    /// Sends a live message that SES has accepted under the id `ses`.
    func sent(
        _ key: KeyID, _ recipients: Int = 1, as ses: String, at time: Timestamp = Sample.now
    ) async throws -> MessageID {
        let message = try await accept(key, recipients: recipients, at: time)
        try await settle(try await claim(.live, at: time), .sent(sesMessageID: ses), at: time)
        return message
    }

    func report(
        _ kind: EventKind, _ ses: String, _ recipient: String = Sample.recipients(1)[0],
        at time: Timestamp = Sample.now,
        _ detail: RecipientEvent.Detail = .init()
    ) -> FeedbackReport {
        FeedbackReport(sesMessageID: ses, recipient: recipient, event: RecipientEvent(kind, at: time, detail))
    }

    func report(_ kind: EventKind, _ ses: String, _ detail: RecipientEvent.Detail) -> FeedbackReport {
        report(kind, ses, at: Sample.now, detail)
    }

    func statuses(_ message: MessageID, at time: Timestamp = Sample.now) async throws -> [RecipientStatus] {
        let records = try await store.messages(MessageFilter(ids: [message]), now: time)
        return try unwrap(records.first).recipientRecords.map(\.status)
    }

    func webhook(
        _ key: KeyID, _ events: Set<WebhookEvent> = [], tags: [String] = [], enabled: Bool = true
    ) async throws -> WebhookID {
        var generator = SystemRandomNumberGenerator()
        let webhook = Webhook(
            id: WebhookID(using: &generator), key: key, url: "https://hooks.example/", events: events, tags: tags,
            isEnabled: enabled, createdAt: Sample.now, secret: WebhookSecret(using: &generator))
        try holds(try await store.insert(webhook), "the webhook is added")
        return webhook.id
    }

    func calls(_ webhook: WebhookID) async throws -> [String] {
        try await store.calls(of: webhook, before: nil, limit: 1000).map(\.call.type).reversed()
    }

    func suppress(_ address: String, _ environment: Environment = .live, _ reason: SuppressionReason = .manual)
        async throws
    {
        _ = try await store.add([
            Suppression(environment: environment, address: address, reason: reason, createdAt: Sample.now)
        ])
    }
}

private let hard = RecipientEvent.Detail(bounceType: .hard, subtype: "General", diagnostic: "550 5.1.1 user unknown")
private let soft = RecipientEvent.Detail(bounceType: .soft)

extension StoreContract {
    static let events = [
        StoreContract("an event is found with its message, and is recorded once if it is reported twice") { bench in
            let message = try await bench.sent(try await bench.key(.live), as: "ses-1")
            let report = bench.report(
                .delivered, "ses-1", at: Sample.now + second, .init(diagnostic: "250 ok", server: "mx.example.net"))
            let first = try await bench.store.record([report, report], now: Sample.now + second)
            try bench.equal(first.recorded, [.delivered: 1])
            try bench.equal(first.repeated, 1)
            try bench.equal(try await bench.store.record([report], now: Sample.now + second).repeated, 1)
            let record = try bench.unwrap(
                try await bench.store.messages(MessageFilter(ids: [message]), now: Sample.now).first)
            try bench.equal(record.reported, [ReportedEvent(report.event, of: Sample.recipients(1)[0])])
            try bench.equal(record.recipientRecords.map(\.status), [.delivered])
        },
        StoreContract("the most severe event decides a recipient's status, in whatever order the events arrive") {
            bench in
            let key = try await bench.key(.live)
            let kinds: [(EventKind, RecipientEvent.Detail)] = [
                (.complained, .init(subtype: "abuse")), (.delivered, .init()), (.bounced, hard), (.delayed, .init()),
            ]
            for turn in 0..<kinds.count {
                let ses = "ses-\(turn)"
                let message = try await bench.sent(key, as: ses)
                let order = kinds[turn...] + kinds[..<turn]
                for (kind, detail) in order {
                    _ = try await bench.store.record([bench.report(kind, ses, detail)], now: Sample.now)
                }
                try bench.equal(try await bench.statuses(message), [.complained])
                // Otherwise the recipient of the next message would be suppressed.
                _ = try await bench.store.removeSuppression(
                    of: Sample.recipients(1)[0], in: .live, evenComplaint: true)
            }
        },
        StoreContract("an event concerns one recipient of fifty, whatever the case of the address") { bench in
            let message = try await bench.sent(try await bench.key(.live), 50, as: "ses-1")
            let recipient = Sample.recipients(50)[17]
            _ = try await bench.store.record(
                [bench.report(.bounced, "ses-1", recipient.uppercased(), hard)], now: Sample.now)
            let statuses = try await bench.statuses(message)
            try bench.equal(statuses.indices.filter { statuses[$0] == .bounced }, [17])
            let other = try await bench.store.record(
                [bench.report(.bounced, "ses-1", "nobody@elsewhere.example", hard)], now: Sample.now)
            try bench.equal(other.unknownRecipients, 1)
            let suppressed = try await bench.store.suppressions(SuppressionFilter())
            try bench.equal(suppressed.map(\.address), [recipient])
        },
        StoreContract("an event that arrives before SES's answer is recorded waits for that answer") { bench in
            let key = try await bench.key(.live)
            try bench.holds(try await bench.store.matchWaiting(now: Sample.now) == nil, "nothing waits")
            let early = try await bench.store.record([bench.report(.delivered, "ses-1")], now: Sample.now)
            try bench.equal(early.waiting, 1)
            try bench.equal(try await bench.store.feedbackStatus().waiting, 1)
            try bench.equal(try await bench.store.matchWaiting(now: Sample.now)?.recorded, [:])
            let message = try await bench.sent(key, as: "ses-1")
            try bench.equal(try await bench.store.matchWaiting(now: Sample.now)?.recorded, [.delivered: 1])
            try bench.equal(try await bench.statuses(message), [.delivered])
            try bench.holds(try await bench.store.matchWaiting(now: Sample.now) == nil, "nothing waits any more")
        },
        StoreContract("an event that has waited for an hour belongs to another sender's mail and is discarded") {
            bench in
            _ = try await bench.store.record([bench.report(.delivered, "foreign")], now: Sample.now)
            let almost = try await bench.store.matchWaiting(now: Sample.now + Feedback.memory)
            try bench.equal(almost?.expired, 0)
            let late = try await bench.store.matchWaiting(now: Sample.now + Feedback.memory + second)
            try bench.equal(late?.expired, 1)
            try bench.equal(try await bench.store.feedbackStatus().waiting, 0)
        },
        StoreContract("a key's usage counts deliveries, bounces and complaints, each once") { bench in
            let key = try await bench.key(.live)
            _ = try await bench.sent(key, 3, as: "ses-1")
            let to = Sample.recipients(3)
            let reports = [
                bench.report(.delivered, "ses-1", to[0]), bench.report(.delivered, "ses-1", to[0]),
                bench.report(.bounced, "ses-1", to[1], hard), bench.report(.bounced, "ses-1", to[2], soft),
                bench.report(.complained, "ses-1", to[0]), bench.report(.delayed, "ses-1", to[2]),
            ]
            _ = try await bench.store.record(reports, now: Sample.now)
            let usage = try await bench.store.keyRecord(key, now: Sample.now)?.usage
            try bench.equal(
                usage?.feedback, FeedbackCounts(deliveries: 1, bounces: 2, hardBounces: 1, complaints: 1))
            try bench.equal(
                try await bench.store.queueStatus(now: Sample.now).feedback[.live], usage?.feedback)
            let later = try await bench.store.keyRecord(key, now: Sample.now + .seconds(31 * 86_400))?.usage
            try bench.equal(later?.feedback, FeedbackCounts())
        },
        StoreContract("simulated events are recorded together with the settlement of their delivery") { bench in
            let key = try await bench.key(.test)
            let message = try await bench.accept(key)
            let claimed = try await bench.claim()
            var settlement = Settlement(
                delivery: claimed[0].id, result: .simulated(sesMessageID: "s"), startedAt: Sample.now,
                finishedAt: Sample.now)
            settlement.events = [
                ReportedEvent(RecipientEvent(.bounced, at: Sample.now, hard), of: Sample.recipients(1)[0])
            ]
            try await bench.store.settle([settlement])
            try bench.equal(try await bench.statuses(message), [.bounced])
            try bench.equal(try await bench.store.suppressions(SuppressionFilter()).map(\.environment), [.test])
            try bench.equal(try await bench.store.keyRecord(key, now: Sample.now)?.usage.feedback.hardBounces, 1)
        },
        StoreContract("messages are found by the status of a recipient") { bench in
            let key = try await bench.key(.live)
            let bounced = try await bench.sent(key, 2, as: "ses-1")
            let delivered = try await bench.sent(key, as: "ses-2")
            let sent = try await bench.sent(key, as: "ses-3")
            _ = try await bench.store.record(
                [bench.report(.bounced, "ses-1", hard), bench.report(.delivered, "ses-2")], now: Sample.now)
            let queued = try await bench.accept(key, at: Sample.now + second)
            let expected: [(RecipientStatus, [MessageID])] = [
                (.bounced, [bounced]), (.delivered, [delivered]), (.sent, [sent, bounced]), (.queued, [queued]),
                (.complained, []), (.failed, []),
            ]
            for (status, ids) in expected {
                for of in [key, nil] {
                    var filter = MessageFilter(key: of)
                    filter.status = status
                    let found = try await bench.store.messages(filter, now: Sample.now)
                    try bench.equal(found.map(\.id), ids)
                }
            }
        },
        StoreContract("the store keeps when the feedback queue last answered, and why it fails") { bench in
            try bench.equal(try await bench.store.feedbackStatus(), FeedbackStatus())
            try await bench.store.record(FeedbackStatus(lastReportAt: Sample.now, lastAnswerAt: Sample.now + second))
            try await bench.store.record(
                FeedbackStatus(failure: "AccessDenied", failingSince: Sample.now + second))
            try bench.equal(
                try await bench.store.feedbackStatus(),
                FeedbackStatus(
                    lastReportAt: Sample.now, lastAnswerAt: Sample.now + second, failure: "AccessDenied",
                    failingSince: Sample.now + second))
            _ = try await bench.sent(try await bench.key(.live), as: "ses-1", at: Sample.now + second)
            let times = try await bench.store.feedbackTimes()
            try bench.equal(times.lastEvent, Sample.now)
            try bench.equal(times.lastSent, Sample.now + second)
        },
    ]

    static let suppressions = [
        StoreContract("a suppressed recipient of fifty is left out, and the message is sent to the others") { bench in
            let key = try await bench.key(.live)
            let to = Sample.recipients(50)
            try await bench.suppress(to[20].uppercased())
            try await bench.suppress(to[21], .test)
            let message = try await bench.accept(key, recipients: 50)
            let claimed = try await bench.claim(.live)
            try bench.equal(claimed.map(\.envelope.recipients), [to.filter { $0 != to[20] }])
            try await bench.settle(claimed, .sent(sesMessageID: "ses-1"))
            var statuses = Array(repeating: RecipientStatus.sent, count: 50)
            statuses[20] = .suppressed
            try bench.equal(try await bench.statuses(message), statuses)
            let record = try bench.unwrap(
                try await bench.store.messages(MessageFilter(ids: [message]), now: Sample.now).first)
            try bench.equal(record.state, .sent)
        },
        StoreContract("a delivery whose recipients are all suppressed ends as suppressed, and is not claimed") {
            bench in
            let key = try await bench.key(.live)
            try await bench.suppress(Sample.recipients(1)[0])
            let message = try await bench.accept(key)
            let claim = try await bench.store.claim(
                lane: .live, limit: 9, recipients: .max, leaseUntil: Sample.now + second, now: Sample.now)
            try bench.equal(claim.deliveries.count, 0)
            try bench.equal(claim.suppressed.map(\.message), [message])
            try bench.equal(try await bench.claim(.live).count, 0)
            try bench.equal(try await bench.statuses(message), [.suppressed])
            let filter = MessageFilter(key: key, state: .suppressed)
            try bench.equal(try await bench.store.messages(filter, now: Sample.now).map(\.id), [message])
        },
        StoreContract("many suppressed deliveries do not delay the deliveries behind them") { bench in
            let key = try await bench.key(.live)
            try await bench.suppress(Sample.recipients(1)[0])
            for _ in 0..<5 { try await bench.accept(key) }
            let other = try await bench.accept(key, recipients: 2, at: Sample.now + second)
            let claim = try await bench.store.claim(
                lane: .live, limit: 3, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now + second
            )
            try bench.equal(claim.suppressed.count, 5)
            try bench.equal(claim.deliveries.map(\.message), [other])
        },
        StoreContract("a suppressed recipient of a message stays suppressed for it, even if removed from the list") {
            bench in
            let key = try await bench.key(.live)
            let to = Sample.recipients(2)
            try await bench.suppress(to[0])
            let message = try await bench.accept(key, recipients: 2)
            try await bench.settle(try await bench.claim(.live), .retry(at: Sample.now + second))
            let removed = try await bench.store.removeSuppression(
                of: to[0].uppercased(), in: .live, evenComplaint: false)
            guard case .removed(let entry) = removed else { throw StoreError.corrupt("not removed: \(removed)") }
            try bench.equal(entry.address, to[0])
            try bench.equal(
                try await bench.store.removeSuppression(of: to[0], in: .live, evenComplaint: false), .notListed)
            let again = try await bench.claim(.live, at: Sample.now + second)
            try bench.equal(again.map(\.envelope.recipients), [[to[1]]])
            try bench.equal(try await bench.statuses(message), [.suppressed, .sending])
        },
        StoreContract("a suppression because of a complaint is removed only on explicit request") { bench in
            try await bench.suppress("jo@example.net", .live, .complaint)
            let refused = try await bench.store.removeSuppression(
                of: "Jo@example.net", in: .live, evenComplaint: false)
            try bench.equal(refused, .isComplaint)
            try bench.equal(try await bench.store.suppressions(SuppressionFilter()).count, 1)
            guard
                case .removed(let entry) = try await bench.store.removeSuppression(
                    of: "Jo@example.net", in: .live, evenComplaint: true)
            else { throw StoreError.corrupt("a complaint can't be removed") }
            try bench.equal(entry.reason, .complaint)
            try bench.equal(try await bench.store.suppressions(SuppressionFilter()), [])
        },
        StoreContract("a message does not count as a repeat of a suppressed one, so it is sent") { bench in
            let key = try await bench.key(.live)
            let to = Sample.recipients(1)[0]
            try await bench.suppress(to)
            func again() throws -> Submission {
                var submission = try bench.submission(key)
                submission.fingerprint = Fingerprint(key: key, idempotencyKey: "order-1")
                return submission
            }
            let first = try again()
            try bench.equal(try await bench.store.accept([first], now: Sample.now), [.accepted])
            try bench.equal(try await bench.claim(.live).count, 0)
            try await bench.fails(.bodyGone(first.id)) { _ = try await bench.store.body(of: first.id) }
            _ = try await bench.store.removeSuppression(of: to, in: .live, evenComplaint: true)
            try bench.equal(try await bench.store.accept([try again()], now: Sample.now), [.accepted])
            try bench.equal(try await bench.claim(.live).count, 1)
        },
        StoreContract("the list has each address once, with the more serious reason") { bench in
            try await bench.suppress("Jo@Example.NET")
            try await bench.suppress("jo@example.net", .live, .complaint)
            try await bench.suppress("JO@example.net", .live, .hardBounce)
            let all = try await bench.store.suppressions(SuppressionFilter())
            try bench.equal(all.map(\.address), ["Jo@example.net"])
            try bench.equal(all.map(\.reason), [.complaint])
            try bench.equal(try await bench.store.suppression(of: "jO@example.net", in: .live)?.reason, .complaint)
            try bench.equal(try await bench.store.suppression(of: "jo@example.net", in: .test), nil)
            try bench.equal(try await bench.store.queueStatus(now: Sample.now).suppressions, [.live: [.complaint: 1]])
        },
        StoreContract("the list of suppressions can be searched, and is returned in pages") { bench in
            for (index, reason) in SuppressionReason.allCases.enumerated() {
                try await bench.suppress("a\(index)@example.net", .live, reason)
                try await bench.suppress("b\(index)@example.com", .test, reason)
            }
            func addresses(_ filter: SuppressionFilter) async throws -> [String] {
                try await bench.store.suppressions(filter).map(\.address)
            }
            let all = [
                "a0@example.net", "a1@example.net", "a2@example.net", "b0@example.com", "b1@example.com",
                "b2@example.com",
            ]
            try bench.equal(try await addresses(SuppressionFilter()), all)
            try bench.equal(try await addresses(SuppressionFilter(environment: .test)), Array(all[3...]))
            try bench.equal(
                try await addresses(SuppressionFilter(reason: .complaint)), ["a1@example.net", "b1@example.com"])
            try bench.equal(try await addresses(SuppressionFilter(search: "2@EXAMPLE")), [all[2], all[5]])
            try bench.equal(try await addresses(SuppressionFilter(search: "%")), [])
            var seen: [String] = []
            var filter = SuppressionFilter(limit: 4)
            while true {
                let page = try await bench.store.suppressions(filter)
                seen += page.map(\.address)
                guard page.count == filter.limit, let last = page.last else { break }
                filter.after = .init(last)
            }
            try bench.equal(seen, all)
        },
    ]

    static let senderReports = [
        StoreContract("a sender gets one report about all recipients of a message that failed") { bench in
            let key = try await bench.key(.live)
            bench.store.senderReports = .ofFailures
            let to = Sample.recipients(60)
            try await bench.suppress(to[0])
            let message = try await bench.accept(key, recipients: 60)
            let claimed = try await bench.claim(.live)
            try await bench.settle([claimed[0]], .failed, reason: "MessageRejected: no")
            let later = Sample.now + .seconds(60)
            try bench.equal(try await bench.store.dueSenderReports(limit: 9, now: later).count, 0)
            try await bench.settle([claimed[1]], .sent(sesMessageID: "ses-1"))
            try bench.equal(try await bench.store.nextSenderReport(), Sample.now + DueSenderReport.shortestWait)
            let due = try await bench.store.dueSenderReports(limit: 9, now: later)
            try bench.equal(due.map(\.message.id), [message])
            try bench.equal(due[0].recipients.map(\.address), Array(to[..<50]))
            try bench.equal(due[0].recipients.map(\.kind), [.suppressed] + Array(repeating: .failed, count: 49))
            var report = try bench.submission(key)
            report.envelope = Envelope(reversePath: nil, recipients: ["sender@a.example"])
            try bench.equal(
                try await bench.store.accept(
                    report: report, of: message, recipients: due[0].recipients.map(\.address), now: later), .accepted)
            // Another relay on the same store composes a report of its own at the same time.
            var second = try bench.submission(key)
            second.envelope = report.envelope
            try bench.equal(
                try await bench.store.accept(
                    report: second, of: message, recipients: due[0].recipients.map(\.address), now: later), .overtaken)
            try bench.equal(try await bench.store.dueSenderReports(limit: 9, now: later).count, 0)
            try bench.equal(try await bench.claim(.live, at: later).map(\.message), [report.id])
            // The report does not count as an email of the key.
            try bench.equal(try await bench.store.keyRecord(key, now: later)?.usage.emailsTotal, 60)
        },
        StoreContract("the bytes of a message are kept until the report to its sender is done, and then deleted") {
            bench in
            let key = try await bench.key(.live)
            bench.store.senderReports = .ofFailures
            let to = Sample.recipients(2)
            try await bench.suppress(to[0])
            let message = try await bench.accept(key, recipients: 2)
            try await bench.settle(try await bench.claim(.live), .sent(sesMessageID: "ses-1"))
            try bench.holds(try await bench.store.body(of: message).size > 0, "the report quotes the body's header")
            try await bench.store.forgetSenderReport(of: message, recipients: [to[0]])
            try await bench.fails(.bodyGone(message)) { _ = try await bench.store.body(of: message) }
        },
        StoreContract("no report is made about a message that is automatic, was dropped, or has no sender") { bench in
            let key = try await bench.key(.live)
            bench.store.senderReports = .ofFailuresAndEvents
            var automatic = try bench.submission(key)
            automatic.isAutomatic = true
            var unsigned = try bench.submission(key)
            unsigned.envelope.reversePath = nil
            let dropped = try bench.submission(key)
            try bench.equal(
                try await bench.store.accept([automatic, unsigned, dropped], now: Sample.now).count, 3)
            try await bench.store.perform(.drop, all: MessageFilter(ids: [dropped.id]), now: Sample.now)
            try await bench.settle(try await bench.claim(.live), .failed, reason: "MessageRejected: no")
            try bench.equal(try await bench.store.nextSenderReport(), nil)
        },
        StoreContract("senders get reports about bounces only if the policy includes events") { bench in
            for (policy, kinds) in [
                (SenderReports.off, []), (.ofFailures, []), (.ofFailuresAndEvents, [EventKind.bounced]),
            ] {
                bench.store.senderReports = policy
                let key = try await bench.key(.live)
                let ses = "ses-\(kinds.count)-\(policy)"
                let message = try await bench.sent(key, as: ses)
                _ = try await bench.store.record([bench.report(.bounced, ses, soft)], now: Sample.now)
                let due = try await bench.store.dueSenderReports(limit: 9, now: Sample.now + .seconds(60))
                try bench.equal(due.flatMap(\.recipients).map(\.kind), kinds)
                try await bench.store.forgetSenderReport(of: message, recipients: Sample.recipients(1))
                try bench.equal(try await bench.store.nextSenderReport(), nil)
            }
        },
    ]

    static let webhooks = [
        StoreContract("webhooks are called for their key's events, filtered by kind and by tag") { bench in
            let key = try await bench.key(.live)
            let other = try await bench.key(.live)
            let all = try await bench.webhook(key)
            let bounces = try await bench.webhook(key, [.bounce])
            let tagged = try await bench.webhook(key, tags: ["welcome", "x"])
            let foreign = try await bench.webhook(other)
            let off = try await bench.webhook(key, enabled: false)
            var submission = try bench.submission(key)
            submission.tags = ["welcome"]
            _ = try await bench.store.accept([submission], now: Sample.now)
            try await bench.settle(try await bench.claim(.live), .sent(sesMessageID: "ses-1"))
            _ = try await bench.sent(key, as: "ses-2")
            _ = try await bench.store.record(
                [bench.report(.delivered, "ses-1"), bench.report(.bounced, "ses-2", hard)], now: Sample.now)
            try bench.equal(try await bench.calls(all), ["sent", "sent", "delivery", "bounce"])
            try bench.equal(try await bench.calls(bounces), ["bounce"])
            try bench.equal(try await bench.calls(tagged), ["sent", "delivery"])
            try bench.equal(try await bench.calls(foreign), [])
            try bench.equal(try await bench.calls(off), [])
            try await bench.store.updateKey(other) { $0.webhooksForAll = true }
            _ = try await bench.store.record(
                [bench.report(.complained, "ses-1", at: Sample.now + second)], now: Sample.now)
            try bench.equal(try await bench.calls(foreign), ["complaint"])
            try await bench.store.revokeKey(key, queued: .deliver, now: Sample.now)
            _ = try await bench.store.record(
                [bench.report(.complained, "ses-1", at: Sample.now + second + second)], now: Sample.now)
            try bench.equal(try await bench.calls(all).last, "complaint")
            try bench.equal(try await bench.calls(all).count, 5)
        },
        StoreContract("webhooks are called for failures, suppressions and messages that an operator drops") { bench in
            let key = try await bench.key(.live)
            let webhook = try await bench.webhook(key)
            try await bench.accept(key)
            try await bench.settle(try await bench.claim(.live), .failed, reason: "no")
            let dropped = try await bench.accept(key)
            try await bench.store.perform(.drop, all: MessageFilter(ids: [dropped]), now: Sample.now)
            try await bench.suppress(Sample.recipients(1)[0])
            try await bench.accept(key)
            try bench.equal(try await bench.claim(.live).count, 0)
            try bench.equal(try await bench.calls(webhook), ["failed", "failed", "suppressed"])
        },
        StoreContract("a claim has as many calls as each webhook has room for; unsettled calls are claimed again") {
            bench in
            let key = try await bench.key(.live)
            let ids = [try await bench.webhook(key), try await bench.webhook(key)]
            for ses in ["1", "2", "3"] { _ = try await bench.sent(key, as: ses) }
            func claim(_ room: [WebhookID: Int], at time: Timestamp = Sample.now) async throws -> [WebhookCall] {
                try await bench.store.claimCalls(
                    limit: 10, room: room, otherwise: 1, ofFailing: 9, leaseUntil: time + .seconds(60), now: time
                ).map(\.call)
            }
            let first = try await claim([ids[0]: 2])
            try bench.equal(first.filter { $0.webhook == ids[0] }.count, 2)
            try bench.equal(first.filter { $0.webhook == ids[1] }.count, 1)
            try bench.equal(try await claim([ids[0]: 5, ids[1]: 0]).count, 1)
            try bench.equal(try await bench.store.nextCall(), Sample.now)
            let late = Sample.now + .seconds(60)
            let again = try await claim([ids[0]: 9, ids[1]: 9], at: late)
            try bench.equal(again.count, 6)
            try bench.equal(Set(again.map(\.event)).count, 3)
        },
        StoreContract("one call of each failing webhook is claimed, and only a limited number of them in all") {
            bench in
            let key = try await bench.key(.live)
            var ids: [WebhookID] = []
            for _ in 0..<4 { ids.append(try await bench.webhook(key)) }
            for id in ids.prefix(3) { _ = try await bench.store.update(id) { $0.failingSince = Sample.now } }
            for ses in ["1", "2"] { _ = try await bench.sent(key, as: ses) }
            let claimed = try await bench.store.claimCalls(
                limit: 10, room: [:], otherwise: 4, ofFailing: 2, leaseUntil: Sample.now + .seconds(60), now: Sample.now
            )
            let counts = claimed.reduce(into: [:]) { $0[$1.webhook.id, default: 0] += 1 }
            try bench.equal(counts[ids[3]], 2)
            try bench.equal(ids.prefix(3).compactMap { counts[$0] }, [1, 1])
            try await bench.store.beginCalling(now: Sample.now + second)
            try bench.equal(try await bench.store.webhook(ids[0])?.failingSince, Sample.now + second)
            try bench.equal(try await bench.store.webhook(ids[3])?.failingSince, nil)
        },
        StoreContract("the outcome of each call is kept, and a webhook that fails for a day is disabled") { bench in
            let key = try await bench.key(.live)
            let id = try await bench.webhook(key)
            for ses in ["1", "2"] { _ = try await bench.sent(key, as: ses) }
            func attempt(_ verdict: WebhookAttempt.Verdict, at time: Timestamp, status: Int? = 500) async throws
                -> [Webhook]
            {
                let calls = try await bench.store.claimCalls(
                    limit: 1, room: [:], otherwise: 1, ofFailing: 9, leaseUntil: time + .seconds(60), now: time)
                let call = try bench.unwrap(calls.map(\.call).first)
                return try await bench.store.settle(
                    [
                        WebhookAttempt(
                            call: call.id, webhook: id, verdict: verdict, startedAt: time, finishedAt: time + second,
                            status: status, response: "no")
                    ], now: time)
            }
            let retryAt = Sample.now + .seconds(30)
            try bench.equal(try await attempt(.retry(at: retryAt), at: Sample.now).count, 0)
            try bench.equal(try await bench.store.webhook(id)?.failingSince, Sample.now)
            try bench.equal(try await attempt(.delivered, at: Sample.now, status: 200).count, 0)
            try bench.equal(try await bench.store.webhook(id)?.failingSince, nil)
            let records = try await bench.store.calls(of: id, before: nil, limit: 10)
            try bench.equal(records.map(\.state), [.delivered, .waiting])
            try bench.equal(records.map(\.nextAttemptAt), [nil, retryAt])
            try bench.equal(records.map(\.lastStatus), [200, 500])
            let statistics = try await bench.store.statistics(of: id, now: Sample.now)
            try bench.equal(statistics.calls24Hours, 2)
            try bench.equal(statistics.delivered24Hours, 1)
            try bench.equal(statistics.latency, second)
            try bench.equal(statistics.waiting, 1)
            try bench.equal(statistics.lastFailure?.call.id, records[1].call.id)
            try bench.equal(try await attempt(.retry(at: retryAt), at: retryAt).count, 0)
            let day = retryAt + Webhook.timeout
            let disabled = try await attempt(.failed, at: day)
            try bench.equal(disabled.map(\.id), [id])
            try bench.equal(try await bench.store.webhookBacklog().disabled, 1)
            let enabled = try await bench.store.update(id) { $0.isEnabled = true }
            try bench.holds(enabled != nil && enabled?.failingSince == nil, "the webhook is not failing any more")
            try bench.equal(try await bench.store.webhookBacklog().disabled, 0)
        },
        StoreContract("a webhook that answers 410 (gone) is disabled at once, and gets no more calls") { bench in
            let key = try await bench.key(.live)
            let id = try await bench.webhook(key)
            for ses in ["1", "2"] { _ = try await bench.sent(key, as: ses) }
            let call = try bench.unwrap(
                try await bench.store.claimCalls(
                    limit: 1, room: [:], otherwise: 1, ofFailing: 9, leaseUntil: Sample.now + .seconds(60),
                    now: Sample.now
                ).first
            ).call
            let gone = WebhookAttempt(
                call: call.id, webhook: id, verdict: .gone, startedAt: Sample.now, finishedAt: Sample.now, status: 410)
            try bench.equal(try await bench.store.settle([gone], now: Sample.now).map(\.id), [id])
            try bench.equal(try await bench.store.nextCall(), nil)
            let late = Sample.now + Webhook.timeout + second
            _ = try await bench.store.pruneCalls(now: late)
            try bench.equal(
                try await bench.store.calls(of: id, before: nil, limit: 9).map(\.state), [.failed, .failed])
            _ = try await bench.store.pruneCalls(now: Sample.now + keptCalls + second)
            try bench.equal(try await bench.store.calls(of: id, before: nil, limit: 9).count, 0)
        },
        StoreContract("the number of webhooks of a key is limited, and deleting one deletes its calls") { bench in
            let key = try await bench.key(.live)
            var ids: [WebhookID] = []
            for _ in 0..<Webhook.mostOfKey { ids.append(try await bench.webhook(key)) }
            var generator = SystemRandomNumberGenerator()
            let one = Webhook(
                id: WebhookID(using: &generator), key: key, url: "https://hooks.example/", createdAt: Sample.now,
                secret: WebhookSecret(using: &generator))
            try bench.equal(try await bench.store.insert(one), false)
            _ = try await bench.sent(key, as: "1")
            try bench.equal(try await bench.store.webhookBacklog().waiting, Webhook.mostOfKey)
            try bench.equal(try await bench.store.deleteWebhook(ids[0]), true)
            try bench.equal(try await bench.store.deleteWebhook(ids[0]), false)
            try bench.equal(try await bench.store.webhook(ids[0]), nil)
            try bench.equal(try await bench.store.webhookBacklog().waiting, Webhook.mostOfKey - 1)
            try bench.equal(try await bench.store.webhooks(of: key).count, Webhook.mostOfKey - 1)
            try bench.equal(try await bench.store.webhooks(of: nil).count, Webhook.mostOfKey - 1)
        },
    ]
}
