import RelayCore
import TestSupport

private let second = Duration.seconds(1)
private let day = Duration.seconds(86_400)

extension Bench {
    func template(
        _ name: String, of owner: TemplateOwner = .shared, _ content: TemplateContent = TemplateContent(text: "Hello")
    ) -> Template {
        var generator = SeededGenerator.next()
        return Template(
            id: TemplateID(using: &generator), owner: owner, name: name, content: content, createdAt: Sample.now,
            updatedAt: Sample.now)
    }

    @discardableResult
    func save(
        _ template: Template, text: String, by author: KeyID? = nil, at time: Timestamp = Sample.now
    ) async throws -> Template {
        let saving = try await store.saveTemplate(template.id, of: nil, by: author, now: time) {
            $0.content.text = text
        }
        guard case .saved(let saved, _) = saving else {
            throw StoreContract.Violation(description: "the template is not saved: \(saving)")
        }
        return saved
    }

    func outcome(_ saving: TemplateSaving) -> String {
        switch saving {
        case .saved(let saved, let before): "saved \(before.version) as \(saved.version)"
        case .nameTaken: "name taken"
        case .notFound: "not found"
        case .refused(let error): "refused: \(error)"
        }
    }

    func names(_ filter: TemplateFilter = TemplateFilter()) async throws -> [String] {
        try await store.templates(filter).map(\.name)
    }

    func statistics(
        _ kind: StatisticsKind, _ configure: (inout StatisticsFilter) -> Void = { _ in },
        at time: Timestamp = Sample.now
    ) async throws -> [String: MessageStatistics] {
        var filter = StatisticsFilter(kind, limit: 10_000)
        configure(&filter)
        let found = try await store.statistics(filter, now: time)
        return Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0.statistics) })
    }

    /// Sends a live message that SES has accepted under the id `ses`.
    func sent(
        _ key: KeyID, _ recipients: Int = 1, as ses: String, template: TemplateReference? = nil, tags: [String] = [],
        at time: Timestamp = Sample.now
    ) async throws -> MessageID {
        var submission = try submission(key, recipients: recipients, at: time)
        (submission.template, submission.tags) = (template, tags)
        try equal(try await store.accept([submission], now: time), [.accepted])
        try await settle(try await claim(.live, at: time), .sent(sesMessageID: ses), at: time)
        return submission.id
    }

    func reference() -> TemplateReference {
        var generator = SeededGenerator.next()
        return TemplateReference(TemplateID(using: &generator), version: 3)
    }
}

private struct Unwanted: Error {}

extension StoreContract {
    static let templates = [
        StoreContract("a template is found unchanged by its id and by its name, whatever the case of the name") {
            bench in
            let key = try await bench.key()
            let content = TemplateContent(
                subject: "Hello {{ name }}", html: "<p>{{ name }}</p>\r\n", text: "{{ name }}\n",
                variables: [
                    TemplateVariable(name: "name", isRequired: false),
                    TemplateVariable(name: "order.total", type: .number),
                ], from: "Shop <shop@example.com>", replyTo: ["a@example.com", "b@example.com"])
            var template = bench.template("Wel\u{E7}ome", of: .key(key), content)
            template.createdBy = key
            try bench.equal(try await bench.store.insert(template), .inserted)
            let reference = TemplateReference(template.id)
            try bench.equal(try await bench.store.template(reference, of: nil), template)
            try bench.equal(try await bench.store.template(reference, of: .key(key)), template)
            try bench.equal(try await bench.store.template(reference, of: .shared), nil)
            try bench.equal(try await bench.store.template(named: "WEL\u{C7}OME", of: .key(key)), template)
            try bench.equal(try await bench.store.template(named: "Wel\u{E7}ome", of: .shared), nil)
            try bench.equal(
                try await bench.store.template(TemplateReference(template.id, version: 1), of: nil), template)
            try bench.equal(
                try await bench.store.template(TemplateReference(template.id, version: 2), of: nil), nil)
            try bench.equal(try await bench.store.templates(TemplateFilter()), [TemplateSummary(template)])
        },
        StoreContract("an owner can use a template name only once, but two owners can use the same name") { bench in
            let key = try await bench.key()
            try bench.equal(try await bench.store.insert(bench.template("welcome")), .inserted)
            try bench.equal(try await bench.store.insert(bench.template("Welcome")), .nameTaken)
            try bench.equal(try await bench.store.insert(bench.template("welcome", of: .key(key))), .inserted)
            let other = bench.template("other")
            try bench.equal(try await bench.store.insert(other), .inserted)
            let taken = try await bench.store.saveTemplate(other.id, of: nil, by: nil, now: Sample.now) {
                $0.name = "WELCOME"
            }
            try bench.equal(bench.outcome(taken), "name taken")
            let same = try await bench.store.saveTemplate(other.id, of: nil, by: nil, now: Sample.now) {
                $0.name = "Other"
            }
            try bench.equal(bench.outcome(same), "saved 1 as 1")
            try bench.equal(try await bench.store.template(named: "other", of: .shared)?.name, "Other")
        },
        StoreContract("a change of content makes a new version; the same content or a new name does not") { bench in
            let key = try await bench.key()
            let template = bench.template("welcome")
            try bench.equal(try await bench.store.insert(template), .inserted)
            let time = Sample.now + second
            let saved = try await bench.save(template, text: "Good day", by: key, at: time)
            try bench.equal(saved.version, 2)
            try bench.equal([saved.createdAt, saved.updatedAt], [Sample.now, time])
            try bench.equal(saved.createdBy, key)
            try bench.equal(try await bench.save(template, text: "Good day", at: time + second), saved)
            let renamed = try await bench.store.saveTemplate(template.id, of: .shared, by: nil, now: time + second) {
                $0.name = "greeting"
            }
            try bench.equal(bench.outcome(renamed), "saved 2 as 2")
            let found = try bench.unwrap(try await bench.store.template(TemplateReference(template.id), of: nil))
            try bench.equal(found.name, "greeting")
            try bench.equal(found.updatedAt, time + second)
            try bench.equal(found.createdBy, key)
            let first = try bench.unwrap(
                try await bench.store.template(TemplateReference(template.id, version: 1), of: nil))
            try bench.equal(first.content.text, "Hello")
            try bench.equal(first.name, "greeting")
            try bench.equal(
                try await bench.store.versions(of: template.id, before: nil, limit: 9),
                [
                    TemplateVersionSummary(version: 2, subject: nil, createdAt: time, createdBy: key),
                    TemplateVersionSummary(version: 1, subject: nil, createdAt: Sample.now, createdBy: nil),
                ])
        },
        StoreContract("texts that differ only in their Unicode normalization are different contents") { bench in
            let template = bench.template("welcome", TemplateContent(text: "caf\u{E9}"))
            try bench.equal(try await bench.store.insert(template), .inserted)
            let saved = try await bench.save(template, text: "cafe\u{301}")
            try bench.equal(saved.version, 2)
            try bench.equal(saved.content.text.map { Array($0.utf8) }, Array("cafe\u{301}".utf8))
        },
        StoreContract("a change that throws writes nothing, and no owner can change another owner's template") {
            bench in
            let key = try await bench.key()
            let template = bench.template("welcome")
            try bench.equal(try await bench.store.insert(template), .inserted)
            let refused = try await bench.store.saveTemplate(template.id, of: nil, by: nil, now: Sample.now) {
                $0.content.text = "else"
                throw Unwanted()
            }
            guard case .refused(let error) = refused, error is Unwanted else {
                throw Violation(description: "expected a refusal, found \(refused)")
            }
            let foreign = try await bench.store.saveTemplate(template.id, of: .key(key), by: key, now: Sample.now) {
                $0.content.text = "else"
            }
            try bench.equal(bench.outcome(foreign), "not found")
            try bench.equal(try await bench.store.deleteTemplate(template.id, of: .key(key)), false)
            try bench.equal(try await bench.store.template(TemplateReference(template.id), of: nil), template)
            try bench.equal(try await bench.store.deleteTemplate(template.id, of: .shared), true)
            try bench.equal(try await bench.store.template(TemplateReference(template.id), of: nil), nil)
            try bench.equal(try await bench.store.versions(of: template.id, before: nil, limit: 9), [])
            try bench.equal(try await bench.store.deleteTemplate(template.id, of: nil), false)
        },
        StoreContract("the oldest versions are deleted, and the others are listed in pages") { bench in
            let template = bench.template("welcome")
            try bench.equal(try await bench.store.insert(template), .inserted)
            for number in 2...Template.keptVersions + 3 { try await bench.save(template, text: "\(number)") }
            let newest = try await bench.store.versions(of: template.id, before: nil, limit: 2).map(\.version)
            try bench.equal(newest, [203, 202])
            let rest = try await bench.store.versions(of: template.id, before: 202, limit: 1000).map(\.version)
            try bench.equal(rest, (4...201).reversed())
            try bench.equal(
                try await bench.store.template(TemplateReference(template.id, version: 3), of: nil), nil)
            try bench.equal(
                try await bench.store.template(TemplateReference(template.id, version: 4), of: nil)?.content.text, "4")
        },
        StoreContract("templates are listed in pages, by owner and name, even if the last one of a page was deleted") {
            bench in
            let key = try await bench.key()
            for name in ["b", "C", "a", "\u{E4}"] {
                try bench.equal(try await bench.store.insert(bench.template(name)), .inserted)
            }
            try bench.equal(try await bench.store.insert(bench.template("A", of: .key(key))), .inserted)
            try bench.equal(try await bench.names(), ["a", "b", "C", "\u{E4}", "A"])
            try bench.equal(try await bench.names(TemplateFilter(owner: .key(key))), ["A"])
            let first = try await bench.store.templates(TemplateFilter(owner: .shared, limit: 2))
            try bench.equal(first.map(\.name), ["a", "b"])
            let last = try bench.unwrap(first.last)
            try bench.equal(try await bench.store.deleteTemplate(last.id, of: nil), true)
            let after = TemplateFilter.Place(last)
            try bench.equal(try await bench.names(TemplateFilter(owner: .shared, after: after)), ["C", "\u{E4}"])
            try bench.equal(try await bench.names(TemplateFilter(after: after, limit: 3)), ["C", "\u{E4}", "A"])
        },
        StoreContract("the number of templates of an owner is limited") { bench in
            let key = try await bench.key()
            for number in 0..<Template.mostOfOwner {
                try bench.equal(try await bench.store.insert(bench.template("\(number)")), .inserted)
            }
            try bench.equal(try await bench.store.insert(bench.template("more")), .tooMany)
            try bench.equal(try await bench.store.insert(bench.template("7")), .nameTaken)
            try bench.equal(try await bench.store.insert(bench.template("more", of: .key(key))), .inserted)
        },
    ]

    static let statistics = [
        StoreContract("statistics count each recipient once per kind of event, for the template and for each tag") {
            bench in
            let key = try await bench.key(.live)
            let reference = bench.reference()
            let message = try await bench.sent(key, 3, as: "ses-1", template: reference, tags: ["welcome", "x"])
            try bench.equal(try await bench.message(message).template, reference)
            let soft = RecipientEvent.Detail(bounceType: .soft)
            let recipients = Sample.recipients(3)
            let reports = [
                bench.report(.delivered, "ses-1", recipients[0]), bench.report(.delivered, "ses-1", recipients[0]),
                bench.report(.delivered, "ses-1", recipients[0], at: Sample.now + second),
                bench.report(.bounced, "ses-1", recipients[1], soft),
                bench.report(.complained, "ses-1", recipients[0]), bench.report(.delayed, "ses-1", recipients[2]),
            ]
            _ = try await bench.store.record(reports, now: Sample.now + second)
            // The same reports arrive again, and another one of the same kind with a different time.
            _ = try await bench.store.record(
                reports + [bench.report(.bounced, "ses-1", recipients[1], at: Sample.now + second, soft)],
                now: Sample.now + second)
            let counts = RecipientCounts(sent: 3, delivered: 1, bounced: 1, complained: 1)
            let expected = MessageStatistics(today: counts, days7: counts, days30: counts)
            try bench.equal(try await bench.statistics(.template), [reference.id.text: expected])
            try bench.equal(try await bench.statistics(.tag), ["welcome": expected, "x": expected])
            try bench.equal(
                try await bench.store.statistics(of: reference.id, in: .live, now: Sample.now), expected)
            try bench.equal(
                try await bench.store.statistics(of: reference.id, in: .test, now: Sample.now), MessageStatistics())
        },
        StoreContract("messages without a template and tags do not count in the statistics") { bench in
            let key = try await bench.key(.live)
            _ = try await bench.sent(key, 2, as: "ses-1")
            _ = try await bench.store.record([bench.report(.delivered, "ses-1")], now: Sample.now)
            try bench.equal(try await bench.statistics(.template), [:])
            try bench.equal(try await bench.statistics(.tag), [:])
        },
        StoreContract("simulated events are counted, and a suppressed recipient does not count as sent") { bench in
            let key = try await bench.key()
            var submission = try bench.submission(key, recipients: 3)
            submission.tags = ["welcome"]
            let recipients = submission.envelope.recipients
            try await bench.suppress(recipients[2], .test)
            try bench.equal(try await bench.store.accept([submission], now: Sample.now), [.accepted])
            let claimed = try await bench.claim()
            var settlement = Settlement(
                delivery: try bench.unwrap(claimed.first).id, result: .simulated(sesMessageID: "test-1"),
                startedAt: Sample.now, finishedAt: Sample.now)
            settlement.events = [
                ReportedEvent(RecipientEvent(.delivered, at: Sample.now), of: recipients[0]),
                ReportedEvent(RecipientEvent(.bounced, at: Sample.now, .init(bounceType: .hard)), of: recipients[1]),
            ]
            try await bench.store.settle([settlement])
            let counts = RecipientCounts(sent: 2, delivered: 1, bounced: 1)
            try bench.equal(try await bench.statistics(.tag)["welcome"]?.today, counts)
        },
        StoreContract("a failed delivery does not count as sent, and one that a retry sends counts once") { bench in
            let key = try await bench.key(.live)
            var submission = try bench.submission(key)
            submission.tags = ["welcome"]
            try bench.equal(try await bench.store.accept([submission], now: Sample.now), [.accepted])
            try await bench.settle(try await bench.claim(.live), .retry(at: Sample.now))
            try await bench.settle(try await bench.claim(.live), .failed)
            try bench.equal(try await bench.statistics(.tag), [:])
            try await bench.store.perform(
                .retry(dropped: false), all: MessageFilter(ids: [submission.id]), now: Sample.now)
            let claimed = try await bench.claim(.live)
            for _ in 0..<2 { try await bench.settle(claimed, .sent(sesMessageID: "ses-1")) }
            try bench.equal(try await bench.statistics(.tag)["welcome"]?.today, RecipientCounts(sent: 1))
        },
        StoreContract("statistics cover today, 7 days and 30 days, and older days are pruned") { bench in
            let key = try await bench.key(.live)
            _ = try await bench.sent(key, as: "ses-1", tags: ["welcome"])
            func told(after days: Int) async throws -> [Int]? {
                let found = try await bench.statistics(.tag, at: Sample.now + day * days)["welcome"]
                return found.map { [$0.today.sent, $0.days7.sent, $0.days30.sent] }
            }
            try bench.equal(try await told(after: 0), [1, 1, 1])
            try bench.equal(try await told(after: 1), [0, 1, 1])
            try bench.equal(try await told(after: 6), [0, 1, 1])
            try bench.equal(try await told(after: 7), [0, 0, 1])
            try bench.equal(try await told(after: 29), [0, 0, 1])
            try bench.equal(try await told(after: 30), nil)
            _ = try await bench.store.prune(Retention(), now: Sample.now + day * 30)
            try bench.equal(try await told(after: 0), [1, 1, 1])
            _ = try await bench.store.prune(Retention(), now: Sample.now + day * 31)
            try bench.equal(try await told(after: 0), nil)
        },
        StoreContract("an event counts on the day on which it happened, but one in the future counts today") { bench in
            let key = try await bench.key(.live)
            _ = try await bench.sent(key, 2, as: "ses-1", tags: ["welcome"])
            let recipients = Sample.recipients(2)
            _ = try await bench.store.record(
                [
                    bench.report(.delivered, "ses-1", recipients[0], at: Sample.now + day * 3),
                    bench.report(.delivered, "ses-1", recipients[1], at: Sample.now - day * 3),
                ], now: Sample.now)
            let found = try bench.unwrap(try await bench.statistics(.tag)["welcome"])
            try bench.equal(found.today, RecipientCounts(sent: 2, delivered: 1))
            try bench.equal(found.days7, RecipientCounts(sent: 2, delivered: 2))
        },
        StoreContract("statistics of one key or of all keys are listed by name, in pages") { bench in
            let (one, other) = (try await bench.key(.live), try await bench.key(.live))
            _ = try await bench.sent(one, as: "ses-1", tags: ["a", "b", "caf\u{E9}", "cafe\u{301}"])
            _ = try await bench.sent(other, 2, as: "ses-2", tags: ["b", "C"])
            let all = try await bench.store.statistics(StatisticsFilter(.tag), now: Sample.now)
            try bench.equal(all.map { Array($0.name.utf8) }.count, 5)
            try bench.equal(all.prefix(3).map(\.name), ["C", "a", "b"])
            try bench.equal(all.map(\.statistics.today.sent), [2, 1, 3, 1, 1])
            try bench.equal(
                try await bench.statistics(.tag) { $0.key = other }.mapValues(\.today.sent), ["b": 2, "C": 2])
            try bench.equal(try await bench.statistics(.tag) { $0.environment = .test }, [:])
            let page = try await bench.store.statistics(
                StatisticsFilter(.tag, key: one, after: "a", limit: 1), now: Sample.now)
            try bench.equal(page.map(\.name), ["b"])
            try bench.equal(try await bench.statistics(.tag) { $0.name = "C" }.keys.sorted(), ["C"])
        },
        StoreContract("tags beyond the limit of names for a day are counted together") { bench in
            let (key, other) = (try await bench.key(.live), try await bench.key(.live))
            let most = StatisticsKind.mostNames
            var batch: [Submission] = []
            for first in stride(from: 0, to: most + 20, by: 10) {
                var submission = try bench.submission(key)
                submission.tags = (first..<first + 10).map { "tag \($0)" }
                batch.append(submission)
            }
            try bench.equal(try await bench.store.accept(batch, now: Sample.now).filter { $0 != .accepted }, [])
            while true {
                let claimed = try await bench.claim(.live, limit: 50)
                if claimed.isEmpty { break }
                try await bench.settle(claimed, .sent(sesMessageID: "ses"))
            }
            let found = try await bench.statistics(.tag) { $0.key = key }
            try bench.equal(found.count, most + 1)
            try bench.equal(found[""]?.today.sent, 20)
            // Names that are already known continue to be counted, and other keys have names of their own.
            let known = try bench.unwrap(found.keys.first { !$0.isEmpty })
            _ = try await bench.sent(key, as: "ses-2", tags: [known])
            _ = try await bench.sent(other, as: "ses-3", tags: ["new"])
            try bench.equal(try await bench.statistics(.tag) { $0.key = key }[known]?.today.sent, 2)
            try bench.equal(try await bench.statistics(.tag) { $0.key = other }["new"]?.today.sent, 1)
        },
    ]

    static let simulatedDomains = [
        StoreContract("a simulated domain is added once, listed by name, and verified once") { bench in
            let key = try await bench.key()
            let domain = SimulatedDomain(
                name: "example.com", createdAt: Sample.now, createdBy: key, tokenSeed: [0, 1, 255])
            try bench.equal(try await bench.store.insert(domain), .inserted)
            try bench.equal(try await bench.store.insert(domain), .exists)
            let other = SimulatedDomain(name: "a.example", createdAt: Sample.now, tokenSeed: [])
            try bench.equal(try await bench.store.insert(other), .inserted)
            try bench.equal(try await bench.store.simulatedDomain("example.com"), domain)
            try bench.equal(try await bench.store.simulatedDomain("nowhere.example"), nil)
            try bench.equal(try await bench.store.simulatedDomains(after: nil, limit: 9), [other, domain])
            try bench.equal(try await bench.store.simulatedDomains(after: nil, limit: 1), [other])
            try bench.equal(try await bench.store.simulatedDomains(after: "a.example", limit: 9), [domain])
            for time in [Sample.now + second, Sample.now + second * 2] {
                let verified = try await bench.store.verifySimulatedDomain("example.com", now: time)
                try bench.equal(verified?.verifiedAt, Sample.now + second)
            }
            try bench.equal(try await bench.store.verifySimulatedDomain("nowhere.example", now: Sample.now), nil)
        },
        StoreContract("the number of simulated domains is limited") { bench in
            for number in 0..<SimulatedDomain.most {
                let domain = SimulatedDomain(name: "d\(number).example", createdAt: Sample.now, tokenSeed: [1])
                try bench.equal(try await bench.store.insert(domain), .inserted)
            }
            let more = SimulatedDomain(name: "more.example", createdAt: Sample.now, tokenSeed: [1])
            try bench.equal(try await bench.store.insert(more), .tooMany)
            let known = SimulatedDomain(name: "d7.example", createdAt: Sample.now, tokenSeed: [1])
            try bench.equal(try await bench.store.insert(known), .exists)
        },
    ]
}
