import ArgumentParser
import RelayCore

struct StatisticsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "statistics",
        abstract: "Show the outcome of messages, by template or by tag.",
        discussion: """
            Each recipient counts once for each of: sent, delivered, bounced, complained. Days are UTC days, and \
            counts are kept for 30 of them. A message without a template and without tags is not counted here; \
            'hiveku-relay keys list' counts all messages. Each key has counts for up to \
            \(StatisticsKind.mostNames) templates and tags per day; any more are counted together, as (others).
            """)

    enum Grouping: String, ExpressibleByArgument, CaseIterable {
        case template, tag
    }

    enum Period: String, ExpressibleByArgument, CaseIterable {
        case today
        case week = "7-days"
        case month = "30-days"

        func counts(_ statistics: MessageStatistics) -> RecipientCounts {
            switch self {
            case .today: statistics.today
            case .week: statistics.days7
            case .month: statistics.days30
            }
        }
    }

    @Option(help: "What messages are grouped by: template or tag.") var by = Grouping.template
    @Option(help: "Only messages of the key with this public id.") var key: KeyID?
    @Option(help: "Only messages of test keys or of live keys: test or live.") var environment: RelayCore.Environment?
    @Option(help: "The period: today, 7-days or 30-days. With --json, all of them are printed.") var period = Period
        .month
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let kind: StatisticsKind = by == .template ? .template : .tag
        var filter = StatisticsFilter(kind, key: key, environment: environment, limit: 1000)
        var table = Table(
            [by == .template ? "TEMPLATE" : "TAG", "SENT", "DELIVERED", "BOUNCED", "COMPLAINED"],
            rightAligned: [1, 2, 3, 4])
        var isEmpty = true
        while true {
            let page = try await store.statistics(filter, now: now)
            for named in page {
                let name = try await name(of: named, store)
                if json {
                    try JSONValue.object([
                        by.rawValue: .string(named.name), "name": JSONValue(name),
                        "statistics": JSONValue(named.statistics),
                    ]).print()
                    continue
                }
                let counts = period.counts(named.statistics)
                guard !counts.isEmpty else { continue }
                isEmpty = false
                table.append(
                    [shown(named.name, name)]
                        + [counts.sent, counts.delivered, counts.bounced, counts.complained].map(grouped))
            }
            guard page.count == filter.limit, let last = page.last else { break }
            filter.after = last.name
        }
        guard !json else { return }
        guard !isEmpty else {
            return printError(
                by == .template
                    ? "No message in this period was made from a template: hiveku-relay templates --help"
                    : "No message in this period had a tag.")
        }
        table.print()
    }

    /// The name of a template; nil if it was deleted, and for tags.
    private func name(of named: NamedStatistics, _ store: any RelayStore) async throws -> String? {
        guard by == .template, let id = TemplateID(named.name) else { return nil }
        return try await store.template(TemplateReference(id), of: nil)?.name
    }

    /// What the table shows for a template or a tag.
    private func shown(_ id: String, _ name: String?) -> String {
        if id.isEmpty { return "(others)" }
        guard by == .template else { return id }
        return name.map { "\($0) (\(id))" } ?? "\(id), deleted"
    }
}

extension JSONValue {
    init(_ statistics: MessageStatistics) {
        self = .object([
            "today": JSONValue(statistics.today), "7_days": JSONValue(statistics.days7),
            "30_days": JSONValue(statistics.days30),
        ])
    }

    private init(_ counts: RecipientCounts) {
        self = .object([
            "sent": .integer(counts.sent), "delivered": .integer(counts.delivered),
            "bounced": .integer(counts.bounced), "complained": .integer(counts.complained),
        ])
    }
}
