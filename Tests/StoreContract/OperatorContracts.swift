import RelayCore
import TestSupport

private let second = Duration.seconds(1)

// MARK: Lists

extension StoreContract {
    static let lists = [
        StoreContract("keys are listed newest first, in pages, without the revoked ones") { bench in
            var ids: [KeyID] = []
            // Keys are created in pairs that have the same time. Within a pair, the id decides the order.
            for index in 0..<8 {
                ids.append(try await bench.key { $0.createdAt = Sample.now - .seconds(index / 2) })
            }
            let all = try await bench.store.keyRecords(KeyFilter(), now: Sample.now)
            try bench.equal(Set(all.map(\.key.id)), Set(ids))
            let expected = try await bench.store.keyRecords(includingRevoked: true, now: Sample.now)
                .map(\.key.id).reversed()
            try bench.equal(all.map(\.key.id), Array(expected))
            var filter = KeyFilter(limit: 3)
            var found: [KeyID] = []
            for count in [3, 3, 2, 0] {
                let part = try await bench.store.keyRecords(filter, now: Sample.now)
                try bench.equal(part.count, count)
                found += part.map(\.key.id)
                filter.after = part.last?.key.place ?? filter.after
            }
            try bench.equal(found, Array(expected))
            try await bench.store.revokeKey(ids[0], queued: .deliver, now: Sample.now)
            let rest = try await bench.store.keyRecords(KeyFilter(), now: Sample.now).map(\.key.id)
            try bench.equal(rest, expected.filter { $0 != ids[0] })
            let withRevoked = try await bench.store.keyRecords(KeyFilter(includesRevoked: true), now: Sample.now)
            try bench.equal(withRevoked.map(\.key.id), Array(expected))
        },
        StoreContract("keys are found by a part of the name, the beginning of the id, and the environment") { bench in
            let shop = try await bench.key(.live) { $0.name = "Web Shop" }
            let rate = try await bench.key { $0.name = "100%_sure" }
            func ids(_ text: String?, _ environment: Environment? = nil) async throws -> Set<KeyID> {
                let filter = KeyFilter(text: text, environment: environment)
                return Set(try await bench.store.keyRecords(filter, now: Sample.now).map(\.key.id))
            }
            try bench.equal(try await ids(nil, .live), [shop])
            try bench.equal(try await ids(""), [shop, rate])
            for text in ["web", "SHOP", "b s", "Web Shop"] { try bench.equal(try await ids(text), [shop]) }
            // `%` and `_` stand for themselves.
            for text in ["%", "_", "0%_S"] { try bench.equal(try await ids(text), [rate]) }
            for text in ["%shop", "w_b", "*", "web shop 2", "\\%", "'"] { try bench.equal(try await ids(text), []) }
            try bench.equal(try await ids("web", .test), [])
            for text in [shop.text, String(shop.text.prefix(6)).lowercased(), String(shop.text.prefix(6)).uppercased()]
            {
                try bench.holds(try await ids(text).contains(shop), "\(text) finds the key")
            }
            try bench.equal(try await ids(String(shop.text.dropFirst())), [])
        },
        StoreContract("a page of the list of keys includes their usage") { bench in
            let id = try await bench.key()
            try await bench.accept(id, recipients: 3)
            let found = try await bench.store.keyRecords(KeyFilter(), now: Sample.now)
            let record = try await bench.store.keyRecord(id, now: Sample.now)
            try bench.equal(found.map(\.usage), [try bench.unwrap(record).usage])
            try bench.equal(found.map(\.usage.emailsToday), [3])
        },
        StoreContract("the daily use of keys is listed, earliest day first, without days of no use") { bench in
            let (a, b, unused) = (try await bench.key(), try await bench.key(.live), try await bench.key())
            let day = Duration.seconds(86_400)
            for (days, count) in [(3, 2), (2, 4), (0, 1)] {
                try await bench.accept(a, recipients: count, at: Sample.now - day * days)
            }
            let sent = try await bench.accept(b, at: Sample.now - day)
            try await bench.settle(try await bench.claim(.live), .sent(sesMessageID: "s-1"))
            let address = try bench.unwrap(try await bench.message(sent).recipients.first)
            _ = try await bench.store.record(
                [
                    FeedbackReport(
                        sesMessageID: "s-1", recipient: address,
                        event: RecipientEvent(.bounced, at: Sample.now, .init(bounceType: .hard)))
                ], now: Sample.now)
            let today = Sample.now.day.number
            func days(_ keys: [KeyID], _ days: Int) async throws -> [KeyID: [KeyDay]] {
                try await bench.store.use(of: keys, days: days, now: Sample.now)
            }
            func use(_ ago: Int64, _ emails: Int) -> KeyDay { KeyDay(day: UTCDay(number: today - ago), emails: emails) }
            try bench.equal(try await days([a, unused], 30), [a: [use(3, 2), use(2, 4), use(0, 1)]])
            try bench.equal(try await days([a], 3), [a: [use(2, 4), use(0, 1)]])
            try bench.equal(try await days([a], 1), [a: [use(0, 1)]])
            let bounce = KeyDay(
                day: Sample.now.day, emails: 0, feedback: FeedbackCounts(bounces: 1, hardBounces: 1))
            try bench.equal(
                try await days([b, a], 2), [b: [use(1, 1), bounce], a: [use(0, 1)]])
            try bench.equal(try await days([], 30), [:])
            // Use that was counted later, by a clock that was ahead, belongs to no requested day.
            try bench.equal(try await bench.store.use(of: [a], days: 2, now: Sample.now - day), [a: [use(2, 4)]])
        },
        StoreContract("pages of messages have no gaps and no repeats, however few messages a query examines") { bench in
            let (a, b) = (try await bench.key(), try await bench.key(.live))
            var wanted: [MessageID] = []
            var all: [MessageID] = []
            for index in 0..<30 {
                let id = try await bench.accept(index % 5 == 2 ? b : a, at: Sample.now + .seconds(index))
                all.append(id)
                if index % 5 == 2 { wanted.append(id) }
            }
            let later = Sample.now + .seconds(100)
            try await bench.settle(try await bench.claim(.live, at: later), .failed, reason: "no", at: later)
            /// The messages on all pages of the filter.
            func pages(_ filter: MessageFilter, lookingAt most: Int) async throws -> [MessageID] {
                var filter = filter
                var found: [MessageID] = []
                // There are at most as many pages as messages, and one empty page.
                for _ in 0...all.count {
                    let page = try await bench.store.messagePage(filter, lookingAt: most, now: later)
                    try bench.holds(page.messages.count <= filter.limit, "a page is no longer than its limit")
                    found += page.messages.map(\.id)
                    guard let next = page.next else { return found }
                    try bench.holds(filter.before.map { next < $0 } ?? true, "the next page begins further on")
                    try bench.holds(page.messages.allSatisfy { $0.id >= next }, "nothing is left out")
                    filter.before = next
                }
                throw Violation(description: "the pages do not end")
            }
            let filters = [
                MessageFilter(state: .failed, limit: 4), MessageFilter(key: b, limit: 4),
                MessageFilter(key: b, limit: 6),
                MessageFilter(key: b, state: .failed, limit: 1),
            ]
            for filter in filters {
                for most in [1, 7, 1000] {
                    try bench.equal(try await pages(filter, lookingAt: most), wanted.reversed())
                }
            }
            for limit in [1, 7, 29, 30, 31] {
                try bench.equal(try await pages(MessageFilter(limit: limit), lookingAt: 1000), all.reversed())
                try bench.equal(try await pages(MessageFilter(subject: "no", limit: limit), lookingAt: 5), [])
            }
        },
        StoreContract("messages of all keys are found by their state") { bench in
            let key = try await bench.key()
            let states: [MessageState] = [.failed, .cancelled, .held, .sending, .queued]
            var messages: [MessageState: MessageID] = [:]
            let failed = try await bench.accept(key)
            try await bench.settle(try await bench.claim(), .failed, reason: "no")
            let sending = try await bench.accept(key)
            _ = try await bench.claim()
            for state in [MessageState.cancelled, .held, .queued] { messages[state] = try await bench.accept(key) }
            (messages[.failed], messages[.sending]) = (failed, sending)
            if let id = messages[.held] {
                try await bench.store.perform(.hold, all: MessageFilter(ids: [id]), now: Sample.now)
            }
            if let id = messages[.cancelled] {
                _ = try await bench.store.cancel(Cancellation(of: id, key: key), now: Sample.now)
            }
            for state in states {
                let page = try await bench.store.messagePage(
                    MessageFilter(state: state), lookingAt: 1000, now: Sample.now)
                try bench.equal(page.messages.map(\.id), [messages[state]].compactMap { $0 })
                try bench.equal(page.next, nil)
            }
            let partly = try await bench.accept(key, recipients: 51)
            let queued = try bench.unwrap(messages[.queued])
            let parts = try await bench.claim().filter { $0.message != queued }
            try await bench.settle([parts[0]], .simulated(sesMessageID: "1"))
            try await bench.settle([parts[1]], .failed, reason: "no")
            let page = try await bench.store.messagePage(
                MessageFilter(state: .partlyFailed), lookingAt: 1000, now: Sample.now)
            try bench.equal(page.messages.map(\.id), [partly])
        },
    ]
}

// MARK: Words

extension Bench {
    fileprivate func accept(_ key: KeyID, to recipients: [String], _ subject: String?) async throws -> MessageID {
        var submission = try submission(key)
        submission.envelope.recipients = recipients
        submission.subject = subject
        try equal(try await store.accept([submission], now: Sample.now), [.accepted])
        return submission.id
    }

    fileprivate func find(_ words: String, key: KeyID? = nil) async throws -> [MessageID] {
        var filter = MessageFilter(key: key)
        filter.words = words
        return try await store.messages(filter).map(\.id)
    }

    fileprivate func indexWords() async throws {
        while try await store.indexWords() > 0 {}
    }
}

extension StoreContract {
    static let words = [
        StoreContract("messages are found by words of their recipients and subject") { bench in
            let (a, b) = (try await bench.key(), try await bench.key())
            let order = try await bench.accept(a, to: ["anna@example.com", "bob.lee@shop.example"], "Your order 4711")
            let other = try await bench.accept(b, to: ["anna@other.example"], "Café “Zürich”: orders")
            let bare = try await bench.accept(b, to: ["carl@example.com"], nil)
            try bench.equal(try await bench.find("anna"), [])
            try await bench.indexWords()
            for words in [
                "anna@example.com", "ANNA@Example.COM", "anna@exam*", "order 4711", "4711 anna bob", "471*", "BOB.LEE@",
                "ann* 4711",
            ] {
                try bench.equal(try await bench.find(words), [order])
            }
            for words in ["cafe", "CAFÉ", "zurich", "caf* zür*", "anna@other"] {
                try bench.equal(try await bench.find(words), [other])
            }
            try bench.equal(try await bench.find("anna"), [other, order])
            try bench.equal(try await bench.find("  anna\tord* "), [other, order])
            try bench.equal(try await bench.find("example.com"), [bare, order])
            // A search finds only whole words, unless a `*` follows at least three letters. Each word must occur, and
            // the words of one piece must follow each other.
            for words in [
                "ord 4711", "ord", "or*", "an*", "*nna", "anna carl", "example@anna", "nna", "anna@com", "lee.bob",
            ] {
                try bench.equal(try await bench.find(words), [])
            }
            try bench.equal(try await bench.find("anna", key: a), [order])
            var filter = MessageFilter(state: .queued, subject: "Your order 4711")
            filter.words = "anna"
            try bench.equal(try await bench.store.messages(filter).map(\.id), [order])
            filter.state = .failed
            try bench.equal(try await bench.store.messages(filter).map(\.id), [])
            var (first, second) = (MessageFilter(limit: 1), MessageFilter(limit: 1))
            first.words = "anna"
            let page = try await bench.store.messagePage(first, lookingAt: 100, now: Sample.now)
            try bench.equal(page.messages.map(\.id), [other])
            second.words = "anna"
            second.before = try bench.unwrap(page.next)
            let last = try await bench.store.messagePage(second, lookingAt: 100, now: Sample.now)
            try bench.equal(last.messages.map(\.id), [order])
        },
        StoreContract("every text is a valid search, and one without a letter or digit finds nothing") { bench in
            let key = try await bench.key()
            let id = try await bench.accept(key, to: ["anna@example.com"], "a \"quoted\" subject AND more")
            try await bench.indexWords()
            let nothing = [
                "", " ", "\"", "\"\"", "*", "-", "^", "( )", "'", "\u{0}", "\"\u{301}", "…", "@ .", "\u{301}", "\\",
                ":", "+",
            ]
            for words in nothing { try bench.equal(try await bench.find(words), []) }
            for words in [
                "anna *", "\"anna\"", "\"quoted\"", "quo*", "- anna", "anna \u{0}", "subject and", "(anna)", "anna^",
                "\"\u{301}anna",
                "anna@example.com,", "\"anna example",
            ] {
                try bench.equal(try await bench.find(words), [id])
            }
            for words in [
                "NOT anna", "anna OR nobody", "NEAR(anna example)", "recipients:anna", "{recipients}: anna",
                "anna' OR 1", "subject NOT",
                "an*na",
            ] {
                try bench.equal(try await bench.find(words), [])
            }
            // A search does not fail, however long its text is.
            _ = try await bench.find(String(repeating: "word ", count: 10_000))
            _ = try await bench.find(String(repeating: "\"a", count: 10_000))
            _ = try await bench.find("a" + String(repeating: "\u{301}", count: 10_000))
        },
        StoreContract("a later message is found by its words once they are indexed, only once, until it is pruned") {
            bench in
            let key = try await bench.key()
            let first = try await bench.accept(key, to: ["anna@example.com"], nil)
            try await bench.indexWords()
            try bench.equal(try await bench.store.indexWords(), 0)
            let many = (0..<120).map { "r\($0)@example.com" }
            let large = try await bench.accept(key, to: many, "large")
            try bench.equal(try await bench.find("example"), [first])
            try await bench.indexWords()
            try bench.equal(try await bench.find("example"), [large, first])
            for recipient in ["r0@example.com", "r49@example.com", "r50@example.com", "r119@example.com"] {
                try bench.equal(try await bench.find(recipient), [large])
            }
            // The newest message is pruned. The next message may then get the same delivery ids.
            let parts = try await bench.claim().filter { $0.message == large }
            try await bench.settle(parts, .simulated(sesMessageID: "1"))
            while try await bench.store.prune(Retention(simulated: second), now: Sample.now + .seconds(10)) {}
            try bench.equal(try await bench.find("example"), [first])
            let next = try await bench.accept(key, to: ["carl@example.com"], nil)
            try await bench.indexWords()
            try bench.equal(try await bench.find("example"), [next, first])
        },
    ]
}

// MARK: Sessions

extension StoreContract {
    private static func digest(_ number: UInt8) throws -> OperatorDigest {
        guard let digest = OperatorDigest(bytes: [UInt8](repeating: number, count: 32)) else {
            throw Violation(description: "a digest has 32 octets")
        }
        return digest
    }

    static let sessions = [
        StoreContract("a sign-in link works once, and a session lasts until it expires") { bench in
            let (link, session, other) = (try digest(1), try digest(2), try digest(3))
            let (soon, late) = (Sample.now + second, Sample.now + .seconds(10))
            func begin(_ session: OperatorDigest, at time: Timestamp = Sample.now) async throws -> Bool {
                try await bench.store.beginSession(session, until: late, redeeming: link, now: time)
            }
            try bench.equal(try await begin(session), false)
            try await bench.store.insertLogin(link, until: soon, now: Sample.now)
            try bench.equal(try await bench.store.session(session, now: Sample.now), nil)
            try bench.equal(try await bench.store.session(link, now: Sample.now), nil)
            try bench.equal(try await begin(session), true)
            try bench.equal(try await begin(other), false)
            try bench.equal(try await bench.store.session(session, now: Sample.now), late)
            try bench.equal(try await bench.store.session(session, now: late - .milliseconds(1)), late)
            try bench.equal(try await bench.store.session(session, now: late), nil)
            try bench.equal(try await bench.store.session(other, now: Sample.now), nil)
            // A session can't be used as a link.
            try bench.equal(
                try await bench.store.beginSession(other, until: late, redeeming: session, now: Sample.now), false)
        },
        StoreContract("an expired sign-in link does not begin a session") { bench in
            let (link, session) = (try digest(1), try digest(2))
            try await bench.store.insertLogin(link, until: Sample.now + second, now: Sample.now)
            let end = Sample.now + second
            try bench.equal(
                try await bench.store.beginSession(session, until: end + second, redeeming: link, now: end), false)
            try bench.equal(try await bench.store.session(session, now: end), nil)
        },
        StoreContract("one session can be ended, or all of them together with all sign-in links") { bench in
            let late = Sample.now + .seconds(10)
            for number in UInt8(1)...4 {
                try await bench.store.insertLogin(try digest(number), until: late, now: Sample.now)
                _ = try await bench.store.beginSession(
                    try digest(10 + number), until: number == 4 ? Sample.now + second : late,
                    redeeming: try digest(number), now: Sample.now)
            }
            try await bench.store.endSession(try digest(11))
            try await bench.store.endSession(try digest(99))
            try bench.equal(try await bench.store.session(try digest(11), now: Sample.now), nil)
            try bench.equal(try await bench.store.session(try digest(12), now: Sample.now), late)
            try await bench.store.insertLogin(try digest(5), until: late, now: Sample.now)
            // Two sessions are ended, because one of the three has expired already.
            try bench.equal(try await bench.store.endSessions(now: Sample.now + second), 2)
            try bench.equal(try await bench.store.session(try digest(12), now: Sample.now), nil)
            try bench.equal(
                try await bench.store.beginSession(
                    try digest(15), until: late, redeeming: try digest(5), now: Sample.now), false)
            try bench.equal(try await bench.store.endSessions(now: Sample.now), 0)
        },
    ]
}
