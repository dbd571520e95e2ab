import RelayCore

/// Keeps the log readable while all deliveries fail. There is then one line per minute about all retries.
///
/// A pure value over times of a monotonic clock.
struct OutageLog {
    enum Line: Equatable {
        /// Write a line for this retry.
        case each
        /// Write the line for this retry at debug level.
        case quiet
        /// Write the line for this retry at debug level, and a summary of this many consecutive retries.
        case summary(retries: Int)
    }

    private var retries = 0
    private var began = MonotonicTime.distantPast
    private var summarisedAt = MonotonicTime.distantPast

    /// More consecutive retries than this, without an answer about a message in between, are an outage.
    static let threshold = 5
    static let interval = Duration.seconds(60)

    mutating func retried(at now: MonotonicTime) -> Line {
        if retries == 0 { began = now }
        retries += 1
        if retries <= OutageLog.threshold { return .each }
        guard now - summarisedAt >= OutageLog.interval else { return .quiet }
        summarisedAt = now
        return .summary(retries: retries)
    }

    /// The transport got an answer about a message. If this ends an outage, returns the outage's number of retries and
    /// its length in seconds. Otherwise returns nil.
    mutating func answered(at now: MonotonicTime) -> (retries: Int, seconds: Double)? {
        let ended = retries > OutageLog.threshold ? (retries, now.seconds(since: began)) : nil
        retries = 0
        summarisedAt = MonotonicTime.distantPast
        return ended
    }
}
