import RelayCore
import TestSupport

private let second = Duration.seconds(1)

extension StoreContract {
    static let keys = [
        StoreContract("a stored key is found unchanged, and an unknown key id finds nothing") { bench in
            let (secret, stored) = Sample.key { $0.limits.perDay = 7 }
            try await bench.store.insertKey(stored)
            let found = try bench.unwrap(try await bench.store.storedKey(secret.id))
            try bench.equal(found.key, stored.key)
            try bench.holds(found.accepts(secret.digest, at: Sample.now), "the secret is accepted")
            let other = Sample.key().secret.id
            try bench.holds(try await bench.store.storedKey(other) == nil, "no unknown key is found")
            try bench.equal(try await bench.store.keyRecord(other, now: Sample.now)?.key, nil)
            try bench.equal(
                Set(try await bench.store.currentKeys([secret.id, other]).keys), [secret.id])
        },
        StoreContract("changes of a key's rules are kept, and the error for an unknown key has its id") { bench in
            let id = try await bench.key()
            try await bench.store.updateKey(id) { $0.limits.perDay = 5 }
            try await bench.store.updateKey(id) { $0.name = "new" }
            let key = try bench.unwrap(try await bench.store.storedKey(id)).key
            try bench.equal(key.name, "new")
            try bench.equal(key.limits.perDay, 5)
            let other = Sample.key().secret
            try await bench.fails(.noSuchKey(other.id)) { try await bench.store.updateKey(other.id) { _ in } }
            try await bench.fails(.noSuchKey(other.id)) {
                try await bench.store.rotateKey(other.id, digest: other.digest, previousUntil: Sample.now)
            }
            try await bench.fails(.noSuchKey(other.id)) {
                try await bench.store.revokeKey(other.id, queued: .deliver, now: Sample.now)
            }
        },
        StoreContract("after a rotation, the old secret is accepted until its grace period ends") { bench in
            let (secret, stored) = Sample.key()
            try await bench.store.insertKey(stored)
            let new = Sample.key().secret.digest
            try await bench.store.rotateKey(secret.id, digest: new, previousUntil: Sample.now + second)
            let found = try bench.unwrap(try await bench.store.storedKey(secret.id))
            try bench.holds(found.accepts(new, at: Sample.now), "the new secret is accepted")
            try bench.holds(found.accepts(secret.digest, at: Sample.now), "the old secret is still accepted")
            try bench.holds(!found.accepts(secret.digest, at: Sample.now + second), "the old secret is refused")
        },
        StoreContract("keys are listed in the order of their creation, with their usage") { bench in
            let old = try await bench.key { $0.createdAt = Sample.now - second }
            let new = try await bench.key()
            try await bench.accept(new, recipients: 3)
            try await bench.store.record([
                new: KeyActivity(rateLimitHits: 2, authFailures: 1),
                Sample.key().secret.id: KeyActivity(authFailures: 1),
            ])
            try await bench.store.revokeKey(old, queued: .deliver, now: Sample.now)
            let all = try await bench.store.keyRecords(includingRevoked: true, now: Sample.now)
            try bench.equal(all.map(\.key.id), [old, new])
            try bench.equal(
                all[1].usage,
                KeyUsage(
                    lastUsedAt: Sample.now, emailsTotal: 3, emails30Days: 3, emailsToday: 3, rateLimitHits: 2,
                    authFailures: 1))
            try bench.equal(
                try await bench.store.keyRecords(includingRevoked: false, now: Sample.now).map(\.key.id), [new])
            let later = try await bench.store.keyRecord(new, now: Sample.now + .seconds(86_400))
            try bench.equal(later?.usage.emailsToday, 0)
            try bench.equal(later?.usage.emails30Days, 3)
        },
        StoreContract("revoking a key again keeps the time of the first revocation") { bench in
            let id = try await bench.key()
            for time in [Sample.now, Sample.now + second] {
                try await bench.store.revokeKey(id, queued: .deliver, now: time)
            }
            try bench.equal(try await bench.store.keyRecord(id, now: Sample.now)?.key.revokedAt, Sample.now)
        },
    ]

    static let acceptance = [
        StoreContract("each rule of a key is checked in the transaction that accepts the message") { bench in
            let elsewhere = try NetworkBlock("198.51.100.0/24")
            let rules: [(RefusalReason, @Sendable (inout Key) -> Void)] = [
                (.keyExpired, { $0.expiresAt = Sample.now }), (.scope, { $0.scopes = [.batch] }),
                (.network, { [elsewhere] in $0.networks = [elsewhere] }),
                (.senderDomain, { $0.domains = [.init(normalised: "other.example")] }),
                (.rateDay, { $0.limits.perDay = 0 }),
            ]
            for (reason, rule) in rules {
                let id = try await bench.key()
                var submission = try bench.submission(id)
                submission.domains = [ClaimedDomain(.envelope, name: "a.example", text: "a.example")]
                // The rule is changed after the session began.
                try await bench.store.updateKey(id, rule)
                try bench.equal(try await bench.reasons([submission]), [reason])
            }
            let id = try await bench.key()
            var submission = try bench.submission(id)
            submission.secret = Sample.key().secret.digest
            try bench.equal(try await bench.reasons([submission]), [.keyUnknown])
            try await bench.store.revokeKey(id, queued: .deliver, now: Sample.now)
            try bench.equal(try await bench.reasons([submission]), [.keyRevoked])
            try bench.equal(try await bench.reasons([try bench.submission(Sample.key().secret.id)]), [.keyRevoked])
            try bench.equal(try await bench.store.messages(MessageFilter()).count, 0)
        },
        StoreContract("a submission is accepted if the key has the scope that this submission requires") { bench in
            var submission = try bench.submission(try await bench.key { $0.scopes = [.batch] })
            submission.scope = .batch
            try bench.equal(try await bench.reasons([submission]), [nil])
        },
        StoreContract("the day's cap is exact within a batch and across batches") { bench in
            let id = try await bench.key { $0.limits.perDay = 5 }
            let batch = try [2, 2, 2, 6, 1].map { try bench.submission(id, recipients: $0) }
            try bench.equal(try await bench.reasons(batch), [nil, nil, .rateDay, .rateDay, nil])
            try bench.equal(try await bench.reasons([try bench.submission(id)]), [.rateDay])
            let midnight = Sample.now.day.next.start
            try await bench.accept(id, recipients: 5, at: midnight)
            try bench.equal(try await bench.store.keyRecord(id, now: midnight)?.usage.emailsTotal, 10)
        },
        StoreContract("a repeat is recognised within a batch and for a day, unless the first message failed") { bench in
            let id = try await bench.key()
            func again(at time: Timestamp = Sample.now) throws -> Submission {
                var submission = try bench.submission(id, at: time)
                submission.fingerprint = Fingerprint(key: id, idempotencyKey: "order-42")
                return submission
            }
            let (first, second) = (try again(), try again())
            try bench.equal(
                try await bench.store.accept([first, second], now: Sample.now), [.accepted, .repeated(first.id)])
            let end = Sample.now + Fingerprint.memory
            try bench.equal(try await bench.store.accept([try again(at: end)], now: end), [.repeated(first.id)])
            try await bench.settle(try await bench.claim(), .failed, reason: "no")
            try bench.equal(try await bench.store.accept([try again()], now: Sample.now), [.accepted])
            try await bench.store.updateKey(id) { $0.detectsRepeats = false }
            try bench.equal(try await bench.store.accept([try again()], now: Sample.now), [.accepted])
        },
        StoreContract("a repeated request is recognised for a day, even if it failed; other content is refused") {
            bench in
            let id = try await bench.key { $0.detectsRepeats = false }
            func request(_ content: [UInt8] = [1], at time: Timestamp = Sample.now) throws -> Submission {
                var submission = try bench.submission(id, at: time)
                submission.idempotency = Idempotency(
                    request: Fingerprint(key: id, request: "order-42"), content: content)
                return submission
            }
            let (first, second) = (try request(), try request())
            try bench.equal(
                try await bench.store.accept([first, second], now: Sample.now), [.accepted, .repeated(first.id)])
            try bench.equal(try await bench.reasons([try request([2])]), [.idempotencyMismatch])
            try await bench.settle(try await bench.claim(), .failed, reason: "no")
            let end = Sample.now + Fingerprint.memory
            try bench.equal(try await bench.store.accept([try request(at: end)], now: end), [.repeated(first.id)])
            let later = end + .milliseconds(1)
            try bench.equal(try await bench.reasons([try request([2], at: later)], at: later), [nil])
            try bench.equal(try await bench.reasons([try request(at: later)], at: later), [.idempotencyMismatch])
        },
        StoreContract("a repeated batch is recognised as a whole, and so is each of its emails") { bench in
            let id = try await bench.key()
            func batch(_ count: Int, _ content: [UInt8]) throws -> [Submission] {
                try (0..<count).map { part in
                    var submission = try bench.submission(id)
                    submission.idempotency = Idempotency(
                        request: Fingerprint(key: id, request: "b"),
                        part: Fingerprint(key: id, request: "b", part: part), content: content)
                    return submission
                }
            }
            let first = try batch(2, [1])
            try bench.equal(try await bench.store.accept(first, now: Sample.now), [.accepted, .accepted])
            try bench.equal(
                try await bench.store.accept(try batch(2, [1]), now: Sample.now), first.map { .repeated($0.id) })
            try bench.equal(
                try await bench.reasons(try batch(3, [2])), Array(repeating: .idempotencyMismatch, count: 3))
            // The same requests are found outside of an acceptance.
            let parts = (0..<2).map { Fingerprint(key: id, request: "b", part: $0) }
            let known = try await bench.store.requests(
                under: parts + [Fingerprint(key: id, request: "c")], now: Sample.now)
            try bench.equal(
                known,
                [
                    parts[0]: .init(message: first[0].id, content: [1]),
                    parts[1]: .init(message: first[1].id, content: [1]),
                ])
            // An email that is added to the request later does not extend the time for which the request is remembered.
            let end = Sample.now + Fingerprint.memory
            try bench.equal(
                try await bench.store.accept(try batch(3, [1]), now: end),
                first.map { .repeated($0.id) } + [.accepted])
            try bench.equal(
                try await bench.reasons(try batch(1, [2]), at: end + .milliseconds(1)), [nil])
        },
        StoreContract("a refused request is not remembered") { bench in
            let id = try await bench.key { $0.limits.perDay = 1 }
            var submission = try bench.submission(id, recipients: 2)
            submission.idempotency = Idempotency(request: Fingerprint(key: id, request: "a"), content: [1])
            try bench.equal(try await bench.reasons([submission]), [.rateDay])
            try await bench.store.updateKey(id) { $0.limits.perDay = nil }
            submission.idempotency?.content = [2]
            try bench.equal(try await bench.reasons([submission]), [nil])
        },
        StoreContract("a batch is accepted as a whole or not at all") { bench in
            let id = try await bench.key { $0.limits.perDay = 10 }
            func batch(_ recipients: [Int]) throws -> [Submission] {
                var members = try recipients.map { try bench.submission(id, recipients: $0) }
                for index in members.indices {
                    members[index].batch = SubmissionBatch(first: members[0].id, emails: recipients.reduce(0, +))
                }
                return members
            }
            try bench.equal(try await bench.reasons(try batch([3, 3])), [nil, nil])
            try bench.equal(try await bench.reasons(try batch([3, 2])), [.rateDay, .rateDay])
            let (members, alone) = (try batch([2, 2]), try bench.submission(id))
            try bench.equal(try await bench.reasons([members[0], alone, members[1]]), [nil, .rateDay, nil])
            try bench.equal(try await bench.store.keyRecord(id, now: Sample.now)?.usage.emailsToday, 10)
        },
        StoreContract("a message is stored with its bytes, and its recipients are split into deliveries of 50") {
            bench in
            let id = try await bench.key()
            let message = try await bench.accept(id, recipients: 101)
            let record = try await bench.message(message)
            try bench.equal(record.deliveries.map(\.recipients.count), [50, 50, 1])
            try bench.equal(record.recipients, Sample.recipients(101))
            try bench.equal(record.state, .queued)
            try bench.equal(record.client, Sample.client)
            let body = try await bench.store.body(of: message)
            try bench.equal(try await body.read(at: 0, count: 100), Array("x\r\n".utf8))
            let unknown = try bench.submission(id).id
            try await bench.fails(.noSuchMessage(unknown)) { _ = try await bench.store.body(of: unknown) }
        },
        StoreContract("a message with a spooled body is stored with the whole body") { bench in
            var submission = try bench.submission(try await bench.key())
            let file = try await bench.store.makeSpoolFile(for: submission.id)
            for _ in 0..<3 { try await file.append([UInt8](repeating: 65, count: 1000)) }
            let body = try await file.finish()
            try bench.equal(body.size, 3000)
            submission.body = .spooled(body)
            try bench.equal(try await bench.reasons([submission]), [nil])
            let stored = try await bench.store.body(of: submission.id)
            try bench.equal(stored.size, 3000)
            try bench.equal(try await stored.read(at: 2999, count: 10), [65])
        },
    ]

    static let queue = [
        StoreContract("keys take turns in a claim, however many messages one of them has queued") { bench in
            let (many, few) = (try await bench.key(), try await bench.key())
            for _ in 0..<20 { try await bench.accept(many) }
            for _ in 0..<2 { try await bench.accept(few) }
            let claimed = try await bench.claim(limit: 6)
            try bench.equal(claimed.count { $0.key == few }, 2)
            try bench.equal(claimed.prefix(2).count { $0.key == few }, 1)
            try bench.equal(Set(try await bench.claim(limit: 100).map(\.id)).count, 16)
        },
        StoreContract("a claim limits its deliveries and their recipients, and no delivery is claimed twice") { bench in
            let id = try await bench.key()
            for _ in 0..<4 { try await bench.accept(id, recipients: 3) }
            let first = try await bench.store.claim(
                lane: .test, limit: 9, recipients: 4, leaseUntil: Sample.now + second, now: Sample.now
            ).deliveries
            try bench.equal(first.map(\.envelope.recipients.count), [3, 3])
            let rest = try await bench.claim()
            try bench.equal(Set((first + rest).map(\.id)).count, 4)
            try bench.equal(try await bench.claim().count, 0)
            try bench.equal(try await bench.claim(limit: 0).count, 0)
        },
        StoreContract("a claim returns only the deliveries of its lane that are due") { bench in
            try await bench.accept(try await bench.key(.live), at: Sample.now + second)
            try bench.equal(try await bench.claim(.test, at: Sample.now + second).count, 0)
            try bench.equal(try await bench.claim(.live).count, 0)
            try bench.equal(try await bench.store.nextDue(lane: .live), Sample.now + second)
            try bench.equal(try await bench.store.nextDue(lane: .test), nil)
            try bench.equal(try await bench.claim(.live, at: Sample.now + second).count, 1)
            try bench.equal(try await bench.store.nextDue(lane: .live), nil)
        },
        StoreContract("the outcome of a delivery is recorded, with every attempt") { bench in
            let message = try await bench.accept(try await bench.key(.live))
            let due = Sample.now + .seconds(30)
            try await bench.settle(
                try await bench.claim(.live), .retry(at: due), reason: "busy: no", mayHaveBeenTaken: true)
            var found = try await bench.message(message).deliveries[0]
            try bench.equal(found.state, .queued)
            try bench.equal(found.nextAttemptAt, due)
            try bench.holds(found.maybeDuplicate, "SES may have accepted the message")
            let claimed = try await bench.claim(.live, at: due)
            try bench.equal(claimed.map { [$0.attempts, $0.pauses] }, [[1, 1]])
            try await bench.settle(claimed, .sent(sesMessageID: "0100"), reason: "note", at: due)
            found = try await bench.message(message).deliveries[0]
            try bench.equal(found.state, .sent)
            try bench.equal(found.sesMessageID, "0100")
            try bench.equal(found.attempts, 2)
            try bench.equal(found.history.map(\.outcome), ["retry", "sent"])
            try bench.equal(found.history.map(\.reason), ["busy: no", "note"])
            // The bytes are deleted as soon as the whole message is sent.
            try await bench.fails(.bodyGone(message)) { _ = try await bench.store.body(of: message) }
        },
        StoreContract("the bytes of a message are kept until its last delivery is sent") { bench in
            let message = try await bench.accept(try await bench.key(.live), recipients: 51)
            let parts = try await bench.claim(.live)
            try await bench.settle([parts[0]], .sent(sesMessageID: "1"))
            try bench.holds(try await bench.message(message).hasBody, "the other part needs the bytes")
            try await bench.settle([parts[1]], .sent(sesMessageID: "2"))
            try bench.holds(!(try await bench.message(message).hasBody), "no part needs the bytes any more")
        },
        StoreContract("a released delivery is due at once, and the claim does not count as an attempt") { bench in
            let message = try await bench.accept(try await bench.key())
            try await bench.settle(try await bench.claim(), .released)
            try bench.equal(try await bench.message(message).deliveries[0].attempts, 0)
            try bench.equal(try await bench.claim().count, 1)
        },
        StoreContract("a throttled attempt does not lengthen the pause before the next attempt") { bench in
            try await bench.accept(try await bench.key())
            try await bench.settle(try await bench.claim(), .retry(at: Sample.now), lengthensPause: false)
            try bench.equal(try await bench.claim().map { [$0.attempts, $0.pauses] }, [[1, 0]])
        },
        StoreContract("a holder that has lost its lease can record a delivery as sent, once, but not as failed") {
            bench in
            let message = try await bench.accept(try await bench.key(.live))
            let late = Sample.now + .seconds(61)
            let claimed = try await bench.claim(.live)
            try bench.equal(try await bench.store.reclaimAbandoned(lane: .live, now: late), 1)
            try await bench.settle(claimed, .failed, at: late)
            try bench.equal(try await bench.message(message).state, .queued)
            try await bench.settle(claimed, .sent(sesMessageID: "1"), at: late)
            try await bench.settle(claimed, .sent(sesMessageID: "2"), at: late)
            try bench.equal(try await bench.message(message).deliveries[0].sesMessageID, "1")
        },
        StoreContract("a delivery whose lease has expired is reclaimed, unless the lease was extended") { bench in
            for lane in Lane.allCases { try await bench.accept(try await bench.key(lane)) }
            let test = try await bench.claim(.test)
            _ = try await bench.claim(.live)
            let late = Sample.now + .seconds(61)
            try await bench.store.extendLease(test.map(\.id), until: late + second)
            try bench.equal(try await bench.store.reclaimAbandoned(lane: .test, now: late), 0)
            try bench.equal(try await bench.store.reclaimAbandoned(lane: .live, now: late), 1)
            let again = try await bench.claim(.live, at: late)
            try bench.equal(again.map { [$0.attempts, $0.pauses] }, [[1, 0]])
            try bench.equal(again.map(\.maybeDuplicate), [true])
        },
        StoreContract("a delivery whose next attempt is too far in the future is brought forward") { bench in
            try await bench.accept(try await bench.key())
            try await bench.settle(try await bench.claim(), .retry(at: Sample.now + .seconds(9000)))
            let latest = Sample.now + .seconds(4000)
            try bench.equal(try await bench.store.bringForward(lane: .live, dueAfter: latest, now: Sample.now), 0)
            try bench.equal(try await bench.store.bringForward(lane: .test, dueAfter: latest, now: Sample.now), 1)
            try bench.equal(try await bench.store.nextDue(lane: .test), Sample.now)
        },
    ]

    /// A message for a time in the future.
    private static func scheduled(
        _ bench: Bench, _ key: KeyID, in seconds: Int, recipients: Int = 1
    ) async throws -> MessageID {
        var submission = try bench.submission(key, recipients: recipients)
        submission.scheduledAt = Sample.now + .seconds(seconds)
        try bench.equal(try await bench.reasons([submission]), [nil])
        return submission.id
    }

    static let scheduling = [
        StoreContract("a scheduled message waits for its time, and its time in the queue is counted from then") {
            bench in
            let message = try await scheduled(bench, try await bench.key(), in: 100, recipients: 51)
            let due = Sample.now + .seconds(100)
            try bench.equal(try await bench.store.nextDue(lane: .test), due)
            try bench.equal(try await bench.claim(at: due - .milliseconds(1)).count, 0)
            try bench.equal(try await bench.message(message).state, .scheduled)
            try bench.equal(try await bench.message(message).scheduledAt, due)
            try bench.equal(try await bench.message(message, at: due - .milliseconds(1)).state, .scheduled)
            try bench.equal(try await bench.message(message, at: due).state, .queued)
            let claimed = try await bench.claim(at: due)
            try bench.equal(claimed.map(\.queuedSince), [due, due])
            try bench.equal(try await bench.message(message).state, .sending)
            try await bench.settle(claimed, .simulated(sesMessageID: "1"), at: due)
            try bench.equal(try await bench.message(message).state, .simulated)
            try bench.equal(try await bench.message(message).scheduledAt, due)
        },
        StoreContract("a message scheduled for a time in the past is due at once") { bench in
            let message = try await scheduled(bench, try await bench.key(), in: -100)
            try bench.equal(try await bench.message(message).state, .queued)
            try bench.equal(try await bench.message(message).scheduledAt, nil)
            try bench.equal(try await bench.claim().map(\.queuedSince), [Sample.now])
        },
        StoreContract("a scheduled message is not brought forward, unless an attempt was made") { bench in
            let message = try await scheduled(bench, try await bench.key(), in: 20)
            func forward() async throws -> Int {
                try await bench.store.bringForward(lane: .test, dueAfter: Sample.now + .seconds(10), now: Sample.now)
            }
            try bench.equal(try await forward(), 0)
            try bench.equal(try await bench.message(message).state, .scheduled)
            let due = Sample.now + .seconds(20)
            try await bench.settle(try await bench.claim(at: due), .retry(at: due + .seconds(30)), at: due)
            // The clock is set back.
            try bench.equal(try await bench.message(message).state, .queued)
            try bench.equal(try await forward(), 1)
            try bench.equal(try await bench.store.nextDue(lane: .test), Sample.now)
        },
        StoreContract("a scheduled message keeps its time when it is held, released, dropped and retried") { bench in
            let id = try await bench.key()
            let message = try await scheduled(bench, id, in: 100)
            let due = Sample.now + .seconds(100)
            func perform(_ operatorAction: OperatorAction, _ filter: MessageFilter, at now: Timestamp = Sample.now)
                async throws
                -> MessageState
            {
                try bench.equal(try await bench.store.perform(operatorAction, all: filter, now: now), 1)
                let record = try await bench.message(message, at: now)
                return record.state
            }
            try bench.equal(try await perform(.hold, MessageFilter(key: id, state: .scheduled)), .held)
            try bench.equal(try await bench.claim(at: due).count, 0)
            try bench.equal(try await perform(.release, MessageFilter(ids: [message])), .scheduled)
            try bench.equal(try await bench.store.nextDue(lane: .test), due)
            try bench.equal(try await perform(.drop, MessageFilter(state: .scheduled)), .failed)
            try bench.equal(try await perform(.retry(dropped: true), MessageFilter(ids: [message])), .scheduled)
            try bench.equal(try await bench.store.nextDue(lane: .test), due)
            try bench.equal(try await perform(.hold, MessageFilter(ids: [message])), .held)
            try bench.equal(try await perform(.release, MessageFilter(ids: [message]), at: due), .queued)
            try bench.equal(try await bench.claim(at: due).map(\.queuedSince), [due])
        },
        StoreContract("the revocation of a key delivers, holds or drops its scheduled messages, as requested") {
            bench in
            for (disposition, expected) in [
                (QueuedDisposition.deliver, MessageState.scheduled), (.hold, .held), (.drop, .failed),
            ] {
                let id = try await bench.key()
                let message = try await scheduled(bench, id, in: 100)
                try await bench.store.revokeKey(id, queued: disposition, now: Sample.now)
                try bench.equal(try await bench.message(message).state, expected)
            }
        },
        StoreContract("a scheduled message counts as queued from its scheduled time on") { bench in
            let id = try await bench.key()
            _ = try await scheduled(bench, id, in: 100)
            _ = try await scheduled(bench, id, in: 200, recipients: 51)
            let now = try await bench.store.queueStatus(now: Sample.now)
            try bench.equal(now.depths, [])
            try bench.equal(
                now.scheduled, [.init(lane: .test, deliveries: 3, next: Sample.now + .seconds(100))])
            let due = Sample.now + .seconds(150)
            let later = try await bench.store.queueStatus(now: due)
            try bench.equal(
                later.depths,
                [.init(lane: .test, state: .queued, deliveries: 1, oldest: Sample.now + .seconds(100))])
            try bench.equal(
                later.scheduled, [.init(lane: .test, deliveries: 2, next: Sample.now + .seconds(200))])
            // The age of a message that was never scheduled is counted from its acceptance.
            try await bench.accept(id, at: Sample.now + .seconds(50))
            try bench.equal(
                try await bench.store.queueStatus(now: due).depths,
                [.init(lane: .test, state: .queued, deliveries: 2, oldest: Sample.now + .seconds(50))])
            _ = try await bench.claim(limit: 9, at: due)
            try bench.equal(
                try await bench.store.queueStatus(now: due).depths,
                [.init(lane: .test, state: .sending, deliveries: 2, oldest: Sample.now + .seconds(50))])
        },
        StoreContract("a message can be cancelled only while all its deliveries are queued or held") { bench in
            let id = try await bench.key()
            func cancel(_ message: MessageID) async throws -> CancelOutcome {
                try await bench.store.cancel(Cancellation(of: message, key: id), now: Sample.now)
            }
            let waiting = try await scheduled(bench, id, in: 100, recipients: 51)
            for _ in 0..<2 { try bench.equal(try await cancel(waiting), .cancelled) }
            let record = try await bench.message(waiting)
            try bench.equal(record.state, .cancelled)
            let reasons = record.deliveries.map(\.reason)
            try bench.equal(reasons.count, 2)
            try bench.holds(reasons.allSatisfy { $0.mentions("cancelled", "application") }, "reasons say who cancelled")
            try bench.equal(try await bench.store.nextDue(lane: .test), nil)
            let held = try await bench.accept(id)
            try await bench.store.perform(.hold, all: MessageFilter(ids: [held]), now: Sample.now)
            try bench.equal(try await cancel(held), .cancelled)

            let parts = try await bench.accept(id, recipients: 51)
            let claimed = try await bench.claim(limit: 1)
            try bench.equal(try await cancel(parts), .conflict(.sending))
            try bench.equal(try await bench.message(parts).deliveries.map(\.state), [.sending, .queued])
            try await bench.settle(claimed, .simulated(sesMessageID: "1"))
            try bench.equal(try await cancel(parts), .conflict(.queued))
            try await bench.settle(try await bench.claim(), .failed)
            try bench.equal(try await cancel(parts), .conflict(.partlyFailed))
        },
        StoreContract("a message can be cancelled only with its own key, and only if that key is not revoked") {
            bench in
            let (owner, other) = (try await bench.key(), try await bench.key())
            let message = try await bench.accept(owner)
            func cancel(_ message: MessageID, _ key: KeyID) async throws -> CancelOutcome {
                try await bench.store.cancel(Cancellation(of: message, key: key), now: Sample.now)
            }
            try bench.equal(try await cancel(message, other), .notFound)
            try bench.equal(try await cancel(try bench.submission(owner).id, owner), .notFound)
            try await bench.store.revokeKey(owner, queued: .deliver, now: Sample.now)
            guard case .refused(let refusal) = try await cancel(message, owner) else {
                throw StoreContract.Violation(description: "a revoked key cancelled a message")
            }
            try bench.equal(refusal.reason, .keyRevoked)
            try bench.equal(try await bench.message(message).state, .queued)
        },
        StoreContract("a cancelled message stays cancelled, is kept like a failed one, and may be submitted again") {
            bench in
            let id = try await bench.key()
            var submission = try bench.submission(id)
            submission.fingerprint = Fingerprint(key: id, idempotencyKey: "order-42")
            try bench.equal(try await bench.reasons([submission]), [nil])
            let message = submission.id
            _ = try await bench.store.cancel(Cancellation(of: message, key: id), now: Sample.now)
            for operatorAction in [OperatorAction.retry(dropped: true), .release, .hold, .drop] {
                let filter = MessageFilter(ids: [message])
                try bench.equal(try await bench.store.perform(operatorAction, all: filter, now: Sample.now), 0)
            }
            submission.id = try bench.submission(id).id
            try bench.equal(try await bench.store.accept([submission], now: Sample.now), [.accepted])
            let retention = Retention(sent: .zero, simulated: .zero, failed: .seconds(10))
            while try await bench.store.prune(retention, now: Sample.now + .seconds(10)) {}
            try bench.holds(try await bench.message(message).hasBody, "the message is kept with its bytes")
            while try await bench.store.prune(retention, now: Sample.now + .seconds(11)) {}
            try bench.equal(try await bench.store.messages(MessageFilter()).map(\.id), [submission.id])
        },
    ]

    static let searches = [
        StoreContract("messages are found by tag, compared octet by octet, also together with other filters") { bench in
            let (a, b) = (try await bench.key(), try await bench.key(.live))
            func tagged(_ key: KeyID, _ tags: [String], at time: Timestamp = Sample.now) async throws -> MessageID {
                var submission = try bench.submission(key, at: time)
                submission.tags = tags
                try bench.equal(try await bench.reasons([submission], at: time), [nil])
                return submission.id
            }
            let first = try await tagged(a, ["welcome", "caf\u{E9}"])
            let newer = try await tagged(a, ["welcome"], at: Sample.now + second)
            let other = try await tagged(b, ["welcome"])
            _ = try await tagged(a, ["Welcome", "cafe\u{301}", "welcome "])
            func ids(_ filter: MessageFilter) async throws -> [MessageID] {
                try await bench.store.messages(filter).map(\.id)
            }
            try bench.equal(try await bench.message(first).tags, ["welcome", "caf\u{E9}"])
            try bench.equal(try await ids(MessageFilter(key: a, tag: "welcome")), [newer, first])
            try bench.equal(try await ids(MessageFilter(tag: "welcome")), [first, newer, other].sorted { $0 > $1 })
            try bench.equal(try await ids(MessageFilter(key: a, tag: "caf\u{E9}")), [first])
            try bench.equal(try await ids(MessageFilter(key: a, tag: "none")), [])
            try bench.equal(
                try await ids(MessageFilter(key: a, tag: "welcome", since: Sample.now + .milliseconds(1))), [newer])
            try bench.equal(try await ids(MessageFilter(key: a, tag: "welcome", before: newer)), [first])
            try bench.equal(try await ids(MessageFilter(key: a, tag: "welcome", limit: 1)), [newer])
            try await bench.store.perform(.drop, all: MessageFilter(key: a, tag: "caf\u{E9}"), now: Sample.now)
            for state in MessageState.allCases {
                let expected = state == .failed ? [first] : state == .queued ? [newer] : []
                try bench.equal(try await ids(MessageFilter(key: a, state: state, tag: "welcome")), expected)
            }
        },
        StoreContract("a key's messages are found in every state, page by page") { bench in
            let (id, other) = (try await bench.key(.live), try await bench.key(.live))
            var expected: [MessageState: [MessageID]] = [:]
            for _ in 0..<3 {
                for key in [id, other] {
                    let (sent, failed) = (try await bench.accept(key), try await bench.accept(key, recipients: 51))
                    let partly = try await bench.accept(key, recipients: 51)
                    for delivery in try await bench.claim(.live) {
                        let isSent =
                            delivery.message == sent
                            || delivery.message == partly && delivery.envelope.recipients.count == 1
                        try await bench.settle([delivery], isSent ? .sent(sesMessageID: "1") : .failed)
                    }
                    let cancelled = try await bench.accept(key)
                    _ = try await bench.store.cancel(Cancellation(of: cancelled, key: key), now: Sample.now)
                    let held = try await bench.accept(key)
                    try await bench.store.perform(.hold, all: MessageFilter(ids: [held]), now: Sample.now)
                    let sending = try await bench.accept(key)
                    _ = try await bench.claim(.live)
                    let later = try await scheduled(bench, key, in: 100)
                    guard key == id else { continue }
                    for (state, message) in [
                        (MessageState.sent, sent), (.failed, failed), (.partlyFailed, partly), (.held, held),
                        (.cancelled, cancelled), (.sending, sending), (.scheduled, later),
                    ] {
                        expected[state, default: []].insert(message, at: 0)
                    }
                }
            }
            for _ in 0..<3 { expected[.queued, default: []].insert(try await bench.accept(id), at: 0) }
            for state in MessageState.allCases {
                var filter = MessageFilter(key: id, state: state, limit: 2)
                var found: [MessageID] = []
                for _ in 0..<3 {
                    let page = try await bench.store.messages(filter).map(\.id)
                    found += page
                    filter.before = page.last ?? filter.before
                }
                try bench.equal(found, expected[state] ?? [])
            }
        },
    ]

    static let operators = [
        StoreContract("a revoked key's queue is delivered, held or dropped, and so is a delivery that returns to it") {
            bench in
            let fates: [(QueuedDisposition, MessageState)] = [(.deliver, .queued), (.hold, .held), (.drop, .failed)]
            for (disposition, expected) in fates {
                let id = try await bench.key()
                let underWay = try await bench.accept(id)
                let claimed = try await bench.claim()
                let waiting = try await bench.accept(id)
                try await bench.store.revokeKey(id, queued: disposition, now: Sample.now)
                try bench.equal(try await bench.message(waiting).state, expected)
                try bench.equal(try await bench.message(underWay).state, .sending)
                try await bench.settle(claimed, .retry(at: Sample.now + .seconds(9000)), reason: "busy")
                try bench.equal(try await bench.message(underWay).state, expected)
                // The message is dropped, so that it does not disturb the next round.
                try await bench.store.perform(.drop, all: MessageFilter(key: id), now: Sample.now)
            }
        },
        StoreContract("an operator can hold, release, drop and retry messages") { bench in
            let id = try await bench.key()
            let message = try await bench.accept(id)
            let filter = MessageFilter(ids: [message])
            let later = Sample.now + second
            func perform(_ operatorAction: OperatorAction) async throws -> [String] {
                let count = try await bench.store.perform(operatorAction, all: filter, now: later)
                let found = try await bench.message(message)
                return ["\(count)", found.state.rawValue]
            }
            try bench.equal(try await perform(.release), ["0", "queued"])
            try bench.equal(try await perform(.hold), ["1", "held"])
            try bench.equal(try await bench.claim(at: later).count, 0)
            try bench.equal(try await perform(.release), ["1", "queued"])
            try await bench.settle(try await bench.claim(at: later), .retry(at: later), at: later)
            try await bench.settle(try await bench.claim(at: later), .failed, reason: "no", at: later)
            try bench.equal(try await perform(.retry(dropped: false)), ["1", "queued"])
            // The delivery is like a new one, except for the recorded attempts.
            let claimed = try await bench.claim(at: later)
            try bench.equal(claimed.map { [$0.attempts, $0.pauses] }, [[2, 0]])
            try bench.equal(claimed.map(\.queuedSince), [later])
            try await bench.settle(claimed, .released, at: later)
            try bench.equal(try await perform(.drop), ["1", "failed"])
            try bench.equal(try await bench.message(message).deliveries[0].reason, droppedReason)
            try bench.equal(try await perform(.retry(dropped: false)), ["0", "failed"])
            try bench.equal(try await perform(.retry(dropped: true)), ["1", "queued"])
        },
        StoreContract("an action on a message that does not exist, or has no bytes any more, is an error") { bench in
            let id = try await bench.key(.live)
            let unknown = try bench.submission(id).id
            try await bench.fails(.noSuchMessage(unknown)) {
                try await bench.store.perform(.hold, all: MessageFilter(ids: [unknown]), now: Sample.now)
            }
            let sent = try await bench.accept(id)
            try await bench.settle(try await bench.claim(.live), .sent(sesMessageID: "1"))
            try await bench.fails(.bodyGone(sent)) {
                try await bench.store.perform(.retry(dropped: false), all: MessageFilter(ids: [sent]), now: Sample.now)
            }
        },
        StoreContract("a search applies all filters and returns the newest message first") { bench in
            let (a, b) = (try await bench.key(), try await bench.key(.live))
            let old = try await bench.accept(a)
            let new = try await bench.accept(b, at: Sample.now + second)
            func ids(_ filter: MessageFilter) async throws -> [MessageID] {
                try await bench.store.messages(filter).map(\.id)
            }
            try bench.equal(try await ids(MessageFilter()), [new, old])
            try bench.equal(try await ids(MessageFilter(limit: 1)), [new])
            try bench.equal(try await ids(MessageFilter(key: a)), [old])
            try bench.equal(try await ids(MessageFilter(since: Sample.now + second)), [new])
            try bench.equal(try await ids(MessageFilter(state: .sent)), [])
            try bench.equal(try await ids(MessageFilter(subject: "Hello")), [new, old])
            try bench.equal(try await ids(MessageFilter(subject: "Hallo")), [])
        },
        StoreContract("the status of the queue has its depths and the state of the lanes") { bench in
            let (a, b) = (try await bench.key(), try await bench.key(.live))
            try await bench.accept(a, recipients: 2)
            try await bench.accept(b)
            _ = try await bench.claim(.test)
            let lane = LaneStatus(lane: .live, heldBecause: "paused", since: Sample.now, rate: 5)
            try await bench.store.record(lane)
            let status = try await bench.store.queueStatus(now: Sample.now)
            try bench.equal(
                Set(status.depths),
                [
                    .init(lane: .test, state: .sending, deliveries: 1, oldest: Sample.now),
                    .init(lane: .live, state: .queued, deliveries: 1, oldest: Sample.now),
                ])
            // A store that relays share also returns the relay of each lane.
            let lanes = status.lanes.map { status in
                var status = status
                status.node = nil
                return status
            }
            try bench.equal(lanes, [lane])
            try bench.equal(status.emailsToday, [.test: 2, .live: 1])
        },
        StoreContract("a message is pruned as a whole when its retention time has passed") { bench in
            let id = try await bench.key()
            let message = try await bench.accept(id, recipients: 51)
            let parts = try await bench.claim()
            try await bench.settle([parts[0]], .simulated(sesMessageID: "1"))
            let retention = Retention(simulated: .seconds(10))
            func prune(after seconds: Int) async throws -> Int {
                let now = Sample.now + .seconds(seconds)
                while try await bench.store.prune(retention, now: now) {}
                return try await bench.store.messages(MessageFilter()).count
            }
            try bench.equal(try await prune(after: 1000), 1)
            try await bench.settle([parts[1]], .simulated(sesMessageID: "2"), at: Sample.now + .seconds(5))
            try bench.equal(try await prune(after: 15), 1)
            try bench.holds(try await bench.message(message).hasBody, "simulated sends keep their bytes")
            try bench.equal(try await prune(after: 16), 0)
        },
    ]
}
