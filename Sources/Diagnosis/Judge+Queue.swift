import RelayCore

extension Judge {
    static let oldestAllowed = Duration.seconds(3600)

    /// Judges the queue: lanes that are held, and deliveries that wait for long.
    public static func queue(_ status: QueueStatus, now: Timestamp) -> [Finding] {
        var findings = status.lanes.compactMap { lane -> Finding? in
            guard let reason = lane.heldBecause else { return nil }
            let isOneOfSeveral = status.lanes.contains { $0.lane == lane.lane && $0.node != lane.node }
            let place = isOneOfSeveral ? lane.node.map { " of the relay \($0)" } ?? "" : ""
            return .problem(
                .queue,
                "the \(lane.lane.rawValue) lane\(place) has been held for \((now - lane.since).spelled): \(reason)",
                remedy:
                    "correct this cause, then wait. While the relay runs, it tries again after 30 seconds, later at least "
                    + "every 5 minutes, and sends the waiting mail once SES accepts it. Nothing needs to be released. Only "
                    + "a change of the settings under ses needs a restart: systemctl restart hiveku-relay")
        }
        for depth in status.depths where depth.state != .held {
            guard let oldest = depth.oldest, now - oldest > oldestAllowed else { continue }
            findings.append(
                .warning(
                    .queue,
                    "a \(depth.lane.rawValue) message has been \(depth.state.rawValue) for \((now - oldest).spelled)",
                    remedy:
                        "hiveku-relay messages list --state \(depth.state.rawValue) lists such messages, and "
                        + "hiveku-relay messages show ID prints the attempts with the answers from SES. If it prints no "
                        + "attempt, hiveku-relay status says whether the lane is held, and why"
                ))
        }
        guard findings.isEmpty else { return findings }
        return [.ok(.queue, depths(status))]
    }

    private static func depths(_ status: QueueStatus) -> String {
        let parts =
            status.depths.map { "\($0.deliveries) \($0.lane.rawValue) \($0.state.rawValue)" }
            + status.scheduled.map { "\($0.deliveries) \($0.lane.rawValue) scheduled" }
        guard !parts.isEmpty else { return "the queue is empty" }
        return "deliveries: \(parts.joined(separator: ", "))"
    }
}
