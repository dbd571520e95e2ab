import RelayCore

/// The queue: each lane, why one is held, how fast it goes and what waits.
enum QueuePage {
    static func make(_ page: OperatorPage, _ visitor: Visitor) async throws -> PageContent {
        let status = try await page.store.queueStatus(now: visitor.now)
        let events = try await page.store.feedbackStatus()
        let times = try await page.store.feedbackTimes()
        return PageContent(
            title: "Queue", section: .queue,
            body: """
                <h1>Queue</h1>\([Lane.live, .test].map { lane($0, status, visitor) })
                <section class="card"><h2>What SES tells</h2>\(feedback(events, times, visitor))</section>
                """, isLive: true)
    }

    private static func lane(_ lane: Lane, _ status: QueueStatus, _ visitor: Visitor) -> HTML {
        let known = status.lanes.first { $0.lane == lane }
        let held = known?.heldBecause
        let state: HTML =
            known == nil
            ? Part.badge("never started", .wait) : held == nil ? Part.badge("moving", .good) : Part.badge("held", .bad)
        let why: HTML = held.map { "<p class=\"important\"><strong>It is held:</strong> \($0)</p>" } ?? .empty
        let standing = SendingStanding(status.feedback[lane] ?? FeedbackCounts())
        let suppressed = status.suppressions[lane]?.values.reduce(0, +) ?? 0
        var rows: [(String, HTML)] = []
        if held != nil, let since = known?.since { rows.append(("Held since", visitor.moment(since))) }
        if let rate = known?.rate {
            rows.append(("Rate", "at most \(decimal((rate * 10).rounded() / 10)) emails a second"))
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
        let warnings: HTML = notes.isEmpty ? .empty : "<ul class=\"notes\" aria-label=\"What to look at\">\(notes)</ul>"
        return """
            <section class="card"><h2>\(lane == .live ? "Live mail" : "Test mail") \(state)</h2>\(why)\(warnings)\
            \(waiting(lane, status, visitor))\(Part.facts(rows))</section>

            """
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
                "\(grouped(scheduled.deliveries))", "the next \(visitor.ago(scheduled.next))",
            ])
        }
        guard !rows.isEmpty else { return "<p class=\"empty\">Nothing waits.</p>" }
        return Part.table("What waits", ["State", "Deliveries", "The oldest"], rows)
    }

    private static func feedback(
        _ status: FeedbackStatus, _ times: (lastEvent: Timestamp?, lastSent: Timestamp?), _ visitor: Visitor
    ) -> HTML {
        guard status.lastAnswerAt != nil || status.failure != nil else {
            return """
                <p>The relay hears nothing of what became of live messages: <code>feedback.queue_url</code> is not set, or its queue has \
                never answered. <code>hiveku-relay feedback template</code> prints what to set up in AWS.</p>
                """
        }
        let failure: HTML =
            status.failure.map {
                "<p class=\"important\"><strong>The queue of events can't be read:</strong> \($0)</p>"
            } ?? .empty
        return """
            \(failure)\(Part.facts([
                ("Last answer", visitor.ago(status.lastAnswerAt)), ("Last event", visitor.ago(times.lastEvent)),
                ("Last live message sent", visitor.ago(times.lastSent)), ("Events that wait for their message", "\(grouped(status.waiting))"),
            ]))
            """
    }
}
