import PostgreSQLStore
import RelayCore
import SQLiteStore
import TestSupport
import Testing

/// An SQLite database with rows in every table, in the state in which a killed relay leaves it.
struct CopyFixture {
    let directory: TemporaryDirectory
    let path: String
    let key: KeyID
    /// A message that is `sending`.
    let underWay: MessageID
    /// A message whose body is over 128 KiB.
    let large: MessageID
    static let largeBody = (0..<700_001).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    /// The fingerprint by which the message `large` is recognised.
    let fingerprint: Fingerprint

    init() async throws {
        directory = try TemporaryDirectory()
        path = directory.file("relay.db")
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        var ids = InstanceIDs(instance: store.instance)
        store.senderReports = .ofFailures
        let networks = [try NetworkBlock("198.51.100.0/24"), try NetworkBlock("192.0.2.0/24")]
        let (secret, stored) = Sample.key(.live, name: "shop\u{E9}") { key in
            key.scopes = [.send, .webhooks]
            key.limits = SendingLimits(perSecond: 2.5, burst: 7, perDay: 1000)
            key.domains = [DomainPattern(normalised: "example.com"), DomainPattern(normalised: "*.example.org")]
            key.networks = networks
            key.expiresAt = Sample.now + .seconds(90_000_000)
        }
        key = secret.id
        try await store.insertKey(stored)
        try await store.insertKey(Sample.key(.test).stored)
        try await store.rotateKey(
            key, digest: Sample.key(.live).stored.digest, previousUntil: Sample.now + .seconds(60))
        try await store.record([key: KeyActivity(lastUsedAt: Sample.now, rateLimitHits: 3, authFailures: 4)])
        let (other, otherStored) = Sample.key(.test)
        try await store.insertKey(otherStored)

        var generator = SystemRandomNumberGenerator()
        let webhook = Webhook(
            id: WebhookID(using: &generator), key: key, url: "https://hooks.example/", events: [.bounce, .sent],
            tags: ["welcome", "x"], createdAt: Sample.now, secret: WebhookSecret(using: &generator),
            previousSecret: WebhookSecret(using: &generator), previousSecretUntil: Sample.now + .seconds(9))
        #expect(try await store.insert(webhook))

        var template = Template(
            id: TemplateID(using: &generator), owner: .key(key), name: "Welcome",
            content: TemplateContent(
                subject: "Hello {{ name }}", html: "<p>{{ name }}</p>", text: "{{ name }}",
                variables: [TemplateVariable(name: "name")], from: "a@example.com",
                replyTo: ["b@example.com", "c@d.example"]
            ),
            createdAt: Sample.now, updatedAt: Sample.now, createdBy: key)
        #expect(try await store.insert(template) == .inserted)
        (template.id, template.owner, template.createdBy) = (TemplateID(using: &generator), .shared, nil)
        #expect(try await store.insert(template) == .inserted)
        let domain = SimulatedDomain(name: "example.com", createdAt: Sample.now, createdBy: key, tokenSeed: [1, 2, 3])
        #expect(try await store.insert(domain) == .inserted)

        func submission(_ to: KeyID, _ configure: (inout Submission) -> Void = { _ in }) -> Submission {
            var submission = Sample.submission(ids.next(at: Sample.now), key: to)
            configure(&submission)
            return submission
        }
        let print = Fingerprint(key: key, idempotencyKey: "order 1")
        let request = Fingerprint(key: key, request: "order 2")
        let file = try await store.makeSpoolFile(for: ids.next(at: Sample.now))
        try await file.append(CopyFixture.largeBody)
        let spooled = try await file.finish()
        let largeID = try #require(MessageID(spooled.name))
        var largeOne = Sample.submission(largeID, key: key)
        largeOne.body = .spooled(spooled)
        largeOne.fingerprint = print
        let batch = [
            largeOne,
            submission(key) {
                $0.tags = ["welcome"]; $0.isAutomatic = true
                $0.template = TemplateReference(template.id, version: 1)
            },
            submission(key) { $0.idempotency = Idempotency(request: request, content: Array(0..<16)) },
            submission(key) { $0.scheduledAt = Sample.now + .seconds(3600) },
            submission(key) {
                $0.envelope.reversePath = nil; $0.subject = nil
            },
            submission(other.id) { $0.envelope.recipients = Sample.recipients(120) },
        ]
        #expect(try await store.accept(batch, now: Sample.now).allSatisfy { $0 == .accepted })
        fingerprint = print
        large = largeID
        let suppression = Suppression(
            environment: .live, address: "Gone@example.net", reason: .manual, createdAt: Sample.now)
        #expect(try await store.add([suppression]) == 1)

        // One message is sent and bounces, one fails, one is held, and one is being sent.
        func settle(_ deliveries: [ClaimedDelivery], _ result: Settlement.Result, _ reason: String? = nil) async throws
        {
            try await store.settle(
                deliveries.map {
                    Settlement(
                        delivery: $0.id, result: result, reason: reason, startedAt: Sample.now, finishedAt: Sample.now)
                })
        }
        func claim(_ lane: Lane, _ limit: Int) async throws -> [ClaimedDelivery] {
            try await store.claim(
                lane: lane, limit: limit, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
        }
        try await settle(try await claim(.live, 1), .retry(at: Sample.now + .seconds(600)), "Throttling")
        try await settle(try await claim(.live, 1), .sent(sesMessageID: "ses-1"))
        try await settle(try await claim(.live, 1), .failed, "MessageRejected: no")
        underWay = try #require(try await claim(.live, 1).first?.message)
        try await settle(try await claim(.test, 1), .simulated(sesMessageID: "test-1"))
        let detail = RecipientEvent.Detail(
            bounceType: .hard, subtype: "General", diagnostic: "550 5.1.1 user unknown", server: "mx.example.net",
            feedbackID: "f-1")
        _ = try await store.record(
            [
                FeedbackReport(
                    sesMessageID: "ses-1", recipient: "to@example.net",
                    event: RecipientEvent(.bounced, at: Sample.now, detail)),
                FeedbackReport(
                    sesMessageID: "ses-unknown", recipient: "to@example.net",
                    event: RecipientEvent(.bounced, at: Sample.now, detail)),
            ], now: Sample.now)
        let calls = try await store.claimCalls(
            limit: 1, room: [:], otherwise: 1, ofFailing: 1, leaseUntil: Sample.now + .seconds(30), now: Sample.now)
        _ = try await store.settle(
            calls.map {
                WebhookAttempt(
                    call: $0.call.id, webhook: $0.call.webhook, verdict: .retry(at: Sample.now + .seconds(5)),
                    startedAt: Sample.now, finishedAt: Sample.now + .seconds(1), status: 500, response: "no")
            }, now: Sample.now)
        let held = submission(key)
        #expect(try await store.accept([held], now: Sample.now) == [.accepted])
        #expect(try await store.perform(.hold, [held.id], now: Sample.now) == 1)
        try store.close()
        try await fillColumns()
    }

    /// Adds a row to each table. The row has a value in every column, so that the tests notice a column that is not
    /// copied.
    private func fillColumns() async throws {
        let store = try SQLiteStore(path: path, role: .tool, now: Sample.now)
        for table in CopiedTable.allCases where table != .repeatKey {
            let rows = try await all(table, of: store)
            guard var row = rows.last else {
                Issue.record("there is no row in \(table)")
                continue
            }
            let last = Array(row.prefix(table.keyLength))
            for (place, column) in table.columns.enumerated() where row[place] == .null {
                row[place] = rows.map { $0[place] }.first { $0 != .null } ?? filler(column.kind)
            }
            // The new row comes after the last one.
            switch row[table.keyLength - 1] {
            case .integer(let number): row[table.keyLength - 1] = .integer(number + 1)
            case .text(let text): row[table.keyLength - 1] = .text(text + "z")
            case .octets(let octets): row[table.keyLength - 1] = .octets(octets + [0])
            case .real, .null: Issue.record("the key of \(table) has an unexpected type")
            }
            if table == .template, let place = table.columns.firstIndex(where: { $0.name == "name_key" }) {
                // Two templates of one owner must have different names.
                row[place] = .text("another name")
            }
            try await store.replace([row], of: table, after: last, through: nil)
        }
        try store.close()
    }

    private func filler(_ kind: CopiedTable.Column.Kind) -> CopiedValue {
        switch kind {
        case .integer, .flag: .integer(1)
        case .real: .real(0.5)
        case .text: .text("\u{FC}n\nd")
        case .octets: .octets([0, 1, 255])
        }
    }
}

/// All rows of a table.
func all(_ table: CopiedTable, of store: any CopyableStore) async throws -> [[CopiedValue]] {
    try await store.rows(of: table, after: nil, limit: 1_000_000)
}

/// All rows of a store, and its bodies.
struct Contents: Equatable {
    var rows: [CopiedTable: [[CopiedValue]]] = [:]
    var bodies: [MessageID: [UInt8]] = [:]

    init(_ store: any CopyableStore) async throws {
        for table in CopiedTable.allCases { rows[table] = try await all(table, of: store) }
        for message in try await store.messagesWithBody(after: nil, limit: 1_000_000) {
            let body = try await store.body(of: message)
            var bytes: [UInt8] = []
            while bytes.count < body.size { bytes += try await body.read(at: bytes.count, count: 100_000) }
            bodies[message] = bytes
        }
    }

    /// Expects the same contents. A failure names the table that differs.
    func expectSame(as other: Contents, _ location: SourceLocation = #_sourceLocation) {
        for table in CopiedTable.allCases {
            #expect(rows[table] == other.rows[table], "\(table)", sourceLocation: location)
        }
        #expect(Set(bodies.keys) == Set(other.bodies.keys), sourceLocation: location)
        #expect(bodies == other.bodies, "the bodies", sourceLocation: location)
    }
}
