import ArgumentParser
import RelayCore

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show whether mail is sent or waits, and why: lanes, queue, rates.",
        discussion: """
            Mail of live keys and of test keys goes through two separate lanes. A lane is 'moving', or 'HELD since …' \
            with the reason: the relay holds the live lane while SES refuses all mail (no permission, the account is \
            paused, its quota is used up), or while credentials or ses.region are missing. While the lane is \
            held, the relay tries again by itself, first after 30 seconds, later every 5 minutes, and moves the lane \
            as soon as SES accepts mail. A failure of the network does not hold the lane: 'hiveku-relay doctor' finds \
            it. Messages in the state 'held' are another matter: an operator holds them ('hiveku-relay messages \
            release' sends them). 'never started' means that no relay has run with this database yet.

            The command prints what is in the database. So it also works while the relay is stopped, and it does not \
            show that the relay is stopped: 'systemctl status hiveku-relay' does.
            """)

    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let status = try await store.queueStatus(now: now)
        let nodes = try await store.nodes(now: now)
        if json { return try JSONValue(status, nodes, now: now).print() }
        if !nodes.isEmpty { table(nodes, now: now).print() }
        for lane in [Lane.live, .test] {
            let known = status.lanes.filter { $0.lane == lane }
            if known.isEmpty { print("\(lane.rawValue) lane: never started") }
            for one in known {
                let place = known.count > 1 ? one.node.map { " on \(printable($0))" } ?? "" : ""
                let state = one.heldBecause.map { "HELD since \(one.since.rfc3339): \(printable($0))" } ?? "moving"
                print("\(lane.rawValue) lane\(place): \(state)\(one.rateWords.map { ", \($0)" } ?? "")")
            }
            print("  emails accepted today: \(status.emailsToday[lane] ?? 0)")
            if let counts = status.feedback[lane] {
                let standing = SendingStanding(counts)
                print("  outcome: \(standing.summary)")
                for note in standing.notes { print("  \(note.text)") }
            }
            let suppressed = status.suppressions[lane]?.values.reduce(0, +) ?? 0
            if suppressed > 0 { print("  suppressed: \(counted(suppressed, "address", "addresses"))") }
            let depths = status.depths.filter { $0.lane == lane }
            let scheduled = status.scheduled.first { $0.lane == lane }
            if depths.isEmpty, scheduled == nil { print("  queue: empty") }
            for depth in depths {
                let age = depth.oldest.map { ", the oldest has waited for \(approximate(now - $0))" } ?? ""
                print("  \(depth.state.rawValue): \(counted(depth.deliveries, "delivery", "deliveries"))\(age)")
            }
            if let scheduled {
                print(
                    "  scheduled: \(counted(scheduled.deliveries, "delivery", "deliveries")), the next at \(scheduled.next.rfc3339)"
                )
            }
        }
    }
}

extension Status {
    private func table(_ nodes: [NodeRecord], now: Timestamp) -> Table {
        var table = Table(
            ["RELAY", "NUMBER", "STATE", "LAST SEEN", "STARTED", "VERSION", "CLOCK"], rightAligned: [1])
        for node in nodes {
            table.append([
                node.name, "\(node.number)", node.isLive ? "live" : "gone",
                "\(approximate(max(.zero, now - node.lastSeenAt))) ago", node.startedAt.rfc3339, node.version,
                node.clockWords,
            ])
        }
        return table
    }
}

extension JSONValue {
    init(_ status: QueueStatus, _ nodes: [NodeRecord], now: Timestamp) {
        self = .object([
            "queue": .array(
                status.depths.map { depth in
                    .object([
                        "lane": .string(depth.lane.rawValue), "state": .string(depth.state.rawValue),
                        "deliveries": .integer(depth.deliveries), "oldest_accepted_at": JSONValue(depth.oldest),
                        "oldest_age_seconds": depth.oldest.map { .integer(Int((now - $0).components.seconds)) }
                            ?? .null,
                    ])
                }),
            "scheduled": .array(
                status.scheduled.map { scheduled in
                    .object([
                        "lane": .string(scheduled.lane.rawValue), "deliveries": .integer(scheduled.deliveries),
                        "next_at": JSONValue(scheduled.next),
                    ])
                }),
            "lanes": .array(
                status.lanes.map { lane in
                    .object([
                        "lane": .string(lane.lane.rawValue), "held": .bool(lane.heldBecause != nil),
                        "held_because": JSONValue(lane.heldBecause), "since": JSONValue(lane.since),
                        "emails_per_second": lane.rate.map { .number($0) } ?? .null,
                        "node": JSONValue(lane.node),
                    ])
                }),
            "nodes": .array(
                nodes.map { node in
                    .object([
                        "name": .string(node.name), "number": .integer(Int(node.number)), "live": .bool(node.isLive),
                        "started_at": JSONValue(node.startedAt), "last_seen_at": JSONValue(node.lastSeenAt),
                        "version": .string(node.version),
                        "clock_offset_seconds": node.clockOffset.map { .number($0.inSeconds) } ?? .null,
                    ])
                }),
            "standing": .object(
                Dictionary(
                    uniqueKeysWithValues: Lane.allCases.map { lane in
                        (
                            lane.rawValue,
                            .object(JSONValue.members(SendingStanding(status.feedback[lane] ?? FeedbackCounts())))
                        )
                    })),
            "suppressions": .object(
                Dictionary(
                    uniqueKeysWithValues: Lane.allCases.map { lane in
                        (
                            lane.rawValue,
                            .object(
                                Dictionary(
                                    uniqueKeysWithValues: SuppressionReason.allCases.map { reason in
                                        (reason.rawValue, .integer(status.suppressions[lane]?[reason] ?? 0))
                                    }))
                        )
                    })),
            "emails_today": .object(
                Dictionary(
                    uniqueKeysWithValues: Lane.allCases.map { ($0.rawValue, .integer(status.emailsToday[$0] ?? 0)) })),
        ])
    }
}
