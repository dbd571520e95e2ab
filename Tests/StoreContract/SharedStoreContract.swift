import RelayCore
import TestSupport

/// One rule that several relays must keep if each has a store on the same database. The test of a store that can be
/// shared calls ``hold(_:)`` of each contract in ``all``, each time with at least two stores on a new database.
public struct SharedStoreContract: Sendable, CustomStringConvertible {
    public let description: String
    private let body: @Sendable ([Bench]) async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable ([Bench]) async throws -> Void) {
        self.description = description
        self.body = body
    }

    /// - Throws: ``StoreContract/Violation``, or the error that a store threw.
    public func hold(_ stores: [AnyStore]) async throws { try await body(stores.map(Bench.init)) }

    public static let all = [
        SharedStoreContract("events that all relays receive at the same time, in any order, count once") { benches in
            let bench = benches[0]
            for bench in benches { bench.store.senderReports = .ofFailuresAndEvents }
            let key = try await bench.key(.live)
            let webhook = try await bench.webhook(key)
            let sent = try await sent(40, by: key, bench)
            let before = try await bench.calls(webhook).count
            let reports = bench.reports(of: sent)
            let outcomes = try await atOnce(benches) { bench in
                try await bench.recordInAnyOrder(reports)
            }
            let sum = outcomes.reduce(into: FeedbackOutcome()) { sum, outcome in
                sum.recorded.merge(outcome.recorded, uniquingKeysWith: +)
                sum.repeated += outcome.repeated
                sum.suppressed += outcome.suppressed
            }
            try bench.equal(sum.recorded, [.bounced: 80, .complained: 80])
            try bench.equal(sum.repeated, (benches.count - 1) * 160)
            try bench.equal(sum.suppressed, 2)
            let usage = try await bench.store.keyRecord(key, now: Sample.now)?.usage
            try bench.equal(usage?.feedback, FeedbackCounts(bounces: 80, hardBounces: 80, complaints: 80))
            try bench.equal(try await bench.store.queueStatus(now: Sample.now).feedback[.live], usage?.feedback)
            try bench.equal(try await bench.calls(webhook).count, before + 160)
        },
        SharedStoreContract("the statistics are complete if all relays send, and record events, at the same time") {
            benches in
            let bench = benches[0]
            let key = try await bench.key(.live)
            let names = (0..<10).map { "tag \($0)" }
            var batch: [Submission] = []
            for number in 0..<60 {
                var submission = try bench.submission(key)
                submission.tags = Array((names[(number % 5)...] + names[..<(number % 5)]).prefix(6))
                batch.append(submission)
            }
            try bench.equal(try await bench.store.accept(batch, now: Sample.now).filter { $0 != .accepted }, [])
            let reports = try await atOnce(benches) { bench in
                var sent: [FeedbackReport] = []
                while true {
                    let claimed = try await bench.claim(.live, limit: 3)
                    if claimed.isEmpty { return sent }
                    for delivery in claimed {
                        let ses = "ses-\(delivery.id.rawValue)"
                        try await bench.settle([delivery], .sent(sesMessageID: ses))
                        sent.append(bench.report(.delivered, ses, delivery.envelope.recipients[0]))
                    }
                }
            }.flatMap { $0 }
            try bench.equal(reports.count, 60)
            _ = try await atOnce(benches) { bench in try await bench.recordInAnyOrder(reports) }
            let found = try await bench.store.statistics(StatisticsFilter(.tag), now: Sample.now)
            let expected = Dictionary(grouping: batch.flatMap(\.tags)) { $0 }.mapValues {
                RecipientCounts(sent: $0.count, delivered: $0.count)
            }
            try bench.equal(
                Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0.statistics.today) }), expected)
        },
        SharedStoreContract("if all relays add a template with the same name at once, only one succeeds") { benches in
            let bench = benches[0]
            let templates = benches.map { _ in bench.template("welcome") }
            let outcomes = try await atOnce(Array(zip(benches, templates))) { bench, template in
                try await bench.store.insert(template)
            }
            try bench.equal(outcomes.filter { $0 == .inserted }.count, 1)
            let first = try bench.unwrap(try await bench.store.template(named: "welcome", of: .shared))
            _ = try await atOnce(benches) { bench in
                for number in 0..<10 { try await bench.save(first, text: "\(bench.store.instance) \(number)") }
            }
            let last = try bench.unwrap(try await bench.store.template(TemplateReference(first.id), of: nil))
            try bench.equal(last.version, 1 + 10 * benches.count)
            let kept = try await bench.store.versions(of: first.id, before: nil, limit: 1000)
            try bench.equal(kept.count, last.version)
        },
        SharedStoreContract("an event that waits for its message is matched by only one relay") { benches in
            let bench = benches[0]
            let key = try await bench.key(.live)
            let reports = bench.reports(of: (0..<40).map { "ses-\($0)" })
            let waiting = try await bench.store.record(reports, now: Sample.now)
            try bench.equal(waiting.waiting, 160)
            _ = try await sent(40, by: key, bench)
            let matched = try await atOnce(benches) { bench in
                var recorded = 0
                while let outcome = try await bench.store.matchWaiting(now: Sample.now) {
                    recorded += outcome.recorded.values.reduce(0, +) + outcome.repeated
                }
                return recorded
            }
            try bench.equal(matched.reduce(0, +), 160)
            try bench.equal(try await bench.store.feedbackStatus().waiting, 0)
        },
        SharedStoreContract("no webhook call is claimed by two relays during one lease") { benches in
            let bench = benches[0]
            let key = try await bench.key(.live)
            for _ in 0..<3 { _ = try await bench.webhook(key) }
            _ = try await sent(40, by: key, bench)
            let claimed = try await atOnce(benches) { bench in
                var claimed: [Int64] = []
                while true {
                    let calls = try await bench.store.claimCalls(
                        limit: 16, room: [:], otherwise: 10, ofFailing: 4, leaseUntil: Sample.now + .seconds(60),
                        now: Sample.now)
                    if calls.isEmpty { return claimed }
                    claimed += calls.map(\.call.id)
                }
            }
            try bench.equal(Set(claimed.joined()).count, claimed.joined().count)
            // A relay that finds all remaining calls locked claims nothing. The relay that locked them claims them.
            try bench.equal(claimed.joined().count, 240)
        },
        SharedStoreContract("only one relay sends the report about a failed message to its sender") { benches in
            let bench = benches[0]
            for bench in benches { bench.store.senderReports = .ofFailures }
            let key = try await bench.key(.live)
            for _ in 0..<10 { try await bench.accept(key, recipients: 3) }
            try await bench.settle(try await bench.claim(.live), .failed, reason: "MessageRejected: no")
            let later = Sample.now + .seconds(60)
            for due in try await bench.store.dueSenderReports(limit: 10, now: later) {
                let message = due.message.id
                let recipients = due.recipients.map(\.address)
                let reports = try benches.map { _ in try bench.submission(key) }
                let outcomes = try await atOnce(Array(zip(benches, reports))) { bench, report in
                    try await bench.store.accept(report: report, of: message, recipients: recipients, now: later)
                }
                try bench.equal(outcomes.filter { $0 == .accepted }.count, 1)
                try bench.equal(outcomes.filter { $0 == .overtaken }.count, benches.count - 1)
            }
            try bench.equal(try await bench.store.nextSenderReport(), nil)
            try bench.equal(try await bench.claim(.live, at: later).count, 10)
        },
        SharedStoreContract("the number of webhooks of a key is limited, even if all relays add some at once") {
            benches in
            // This is repeated with several keys, so that the last places are often taken at the same moment.
            for _ in 0..<10 {
                let key = try await benches[0].key(.live)
                let added = try await atOnce((0..<2 * Webhook.mostOfKey).map { benches[$0 % benches.count] }) { bench in
                    var generator = SeededGenerator.next()
                    return try await bench.store.insert(
                        Webhook(
                            id: WebhookID(using: &generator), key: key, url: "https://hooks.example/",
                            createdAt: Sample.now, secret: WebhookSecret(using: &generator)))
                }
                try benches[0].equal(added.filter { $0 }.count, Webhook.mostOfKey)
            }
        },
    ]
}

/// Runs `body` for all parts at the same time.
private func atOnce<Part: Sendable, Result: Sendable>(
    _ parts: [Part], _ body: @escaping @Sendable (Part) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: Result.self) { group in
        for part in parts { group.addTask { try await body(part) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}

/// Sends `count` messages to two recipients each. Returns the ids under which SES has accepted them.
private func sent(_ count: Int, by key: KeyID, _ bench: Bench) async throws -> [String] {
    var ids: [String] = []
    for number in 0..<count {
        _ = try await bench.sent(key, 2, as: "ses-\(number)")
        ids.append("ses-\(number)")
    }
    return ids
}

extension Bench {
    /// A bounce and a complaint of each of the two recipients.
    fileprivate func reports(of sesMessageIDs: [String]) -> [FeedbackReport] {
        sesMessageIDs.flatMap { id in
            Sample.recipients(2).flatMap { recipient in
                [
                    report(.bounced, id, recipient, .init(bounceType: .hard)),
                    report(.complained, id, recipient, .init(subtype: "abuse")),
                ]
            }
        }
    }

    /// Records the reports in random order, in pieces. Returns the sum of the outcomes.
    fileprivate func recordInAnyOrder(_ reports: [FeedbackReport]) async throws -> FeedbackOutcome {
        var generator = SeededGenerator.next()
        let shuffled = reports.shuffled(using: &generator)
        var sum = FeedbackOutcome()
        for start in stride(from: 0, to: shuffled.count, by: 40) {
            let piece = Array(shuffled[start..<min(start + 40, shuffled.count)])
            let outcome = try await store.record(piece, now: Sample.now)
            sum.recorded.merge(outcome.recorded, uniquingKeysWith: +)
            sum.repeated += outcome.repeated
            sum.suppressed += outcome.suppressed
        }
        return sum
    }
}
