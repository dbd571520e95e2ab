import RelayCore

/// The queue: each lane, why it is held, its rate, and what waits.
enum QueuePage {
    static func make(_ page: OperatorPage, _ visitor: Visitor) async throws -> PageContent {
        let status = try await page.store.queueStatus(now: visitor.now)
        let events = try await page.store.feedbackStatus()
        let times = try await page.store.feedbackTimes()
        let nodes = try await page.store.nodes(now: visitor.now)
        return PageContent(
            title: "Queue", section: .queue,
            body: """
                <h1>Queue</h1>\(relays(nodes, visitor))\([Lane.live, .test].map { lane($0, status, visitor) })
                <section class="card"><h2>Events from SES</h2>\(feedback(events, times, visitor))</section>
                """, isLive: true)
    }

    static func lane(_ lane: Lane, _ status: QueueStatus, _ visitor: Visitor) -> HTML {
        let known = status.lanes.filter { $0.lane == lane }
        let held = known.filter { $0.heldBecause != nil }
        let state: HTML =
            known.isEmpty
            ? Part.badge("never started", .wait)
            : held.isEmpty ? Part.badge("moving", .good) : Part.badge("held", .bad)
        let why = held.map { one -> HTML in
            let subject = known.count > 1 ? one.node.map { "It is held on \($0)" } ?? "It is held" : "It is held"
            return "<p class=\"important\"><strong>\(subject):</strong> \(one.heldBecause ?? "")</p>"
        }
        let standing = SendingStanding(status.feedback[lane] ?? FeedbackCounts())
        let suppressed = status.suppressions[lane]?.values.reduce(0, +) ?? 0
        var rows: [(String, HTML)] = []
        for one in known {
            let place = known.count > 1 ? one.node.map { " on \($0)" } ?? "" : ""
            if one.heldBecause != nil { rows.append(("Held\(place) since", visitor.moment(one.since))) }
            if let rate = one.rateWords { rows.append(("Rate\(place)", "\(rate)")) }
        }
        rows += [
            ("Accepted today", "\(grouped(status.emailsToday[lane] ?? 0)) emails"),
            ("Delivered in 30 days", "\(grouped(standing.counts.deliveries))"),
            ("Bounce rate", "\(rate(standing.bounceRate)) <span class=\"muted\">SES reviews at 5 %</span>"),
            ("Complaint rate", "\(rate(standing.complaintRate)) <span class=\"muted\">SES reviews at 0.1 %</span>"),
            (
                "Suppressed",
                "<a href=\"\(link(Path.suppressions, [("environment", lane.rawValue)]))\">\(counted(suppressed, "address", "addresses"))</a>"
            ),
        ]
        let notes = standing.notes.map { note -> HTML in
            "<li class=\"urgent\"><strong>\(note.text)</strong>\(note.advice.map { "<span>: \($0)</span>" as HTML }.orEmpty)</li>"
        }
        let warnings: HTML = notes.isEmpty ? .empty : "<ul class=\"notes\" aria-label=\"Needs attention\">\(notes)</ul>"
        return """
            <section class="card"><h2>\(lane == .live ? "Live mail" : "Test mail") \(state)</h2>\(why)\(warnings)\
            \(waiting(lane, status, visitor))\(Part.facts(rows))</section>

            """
    }

    static func relays(_ nodes: [NodeRecord], _ visitor: Visitor) -> HTML {
        guard !nodes.isEmpty else { return .empty }
        let rows = nodes.map { node -> [HTML] in
            [
                "\(node.name)", "\(Int(node.number))",
                node.isLive ? Part.badge("live", .good) : Part.badge("gone", .bad),
                visitor.ago(node.lastSeenAt), visitor.moment(node.startedAt), "\(node.version)", "\(node.clockWords)",
            ]
        }
        let columns = ["Relay", "Number", "State", "Last seen", "Started", "Version", "Clock"]
        return
            "<section class=\"card\"><h2>Relays</h2>\(Part.table("Relays on this database", columns, rows))</section>"
    }

    private static func waiting(_ lane: Lane, _ status: QueueStatus, _ visitor: Visitor) -> HTML {
        var rows = status.depths.filter { $0.lane == lane }.map { depth -> [HTML] in
            [
                "<a href=\"\(Path.messages(in: depth.state.rawValue))\">\(depth.state.rawValue)</a>",
                "\(grouped(depth.deliveries))", visitor.ago(depth.oldest, never: "not known"),
            ]
        }
        if let scheduled = status.scheduled.first(where: { $0.lane == lane }) {
            rows.append([
                "<a href=\"\(Path.messages(in: MessageState.scheduled.rawValue))\">scheduled</a>",
                "\(grouped(scheduled.deliveries))", "next: \(visitor.ago(scheduled.next))",
            ])
        }
        guard !rows.isEmpty else { return "<p class=\"empty\">Nothing is waiting.</p>" }
        return Part.table("Waiting", ["State", "Deliveries", "Oldest"], rows)
    }

    private static func feedback(
        _ status: FeedbackStatus, _ times: (lastEvent: Timestamp?, lastSent: Timestamp?), _ visitor: Visitor
    ) -> HTML {
        guard status.lastAnswerAt != nil || status.failure != nil else {
            return """
                <p>The relay gets no events about live messages: <code>feedback.queue_url</code> is not set, or its queue has \
                never answered. <code>hiveku-relay feedback template</code> prints the resources to set up at AWS.</p>
                """
        }
        let failure: HTML =
            status.failure.map {
                "<p class=\"important\"><strong>The SQS queue of events can't be read:</strong> \($0)</p>"
            } ?? .empty
        return """
            \(failure)\(Part.facts([
                ("Last answer", visitor.ago(status.lastAnswerAt)), ("Last event", visitor.ago(times.lastEvent)),
                ("Last live message sent", visitor.ago(times.lastSent)), ("Events that wait for their message", "\(grouped(status.waiting))"),
            ]))
            """
    }
}
