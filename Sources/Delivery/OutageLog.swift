import RelayCore

/// Keeps the log readable while everything that is sent fails: then a line a minute tells of all retries.
///
/// A pure value over moments of a monotonic clock.
struct OutageLog {
    enum Line: Equatable {
        /// A line of its own.
        case each
        /// Nothing above debug level.
        case quiet
        /// Quiet, and a summary of so many retries in a row.
        case summary(retries: Int)
    }

    private var retries = 0
    private var began = MonotonicTime.distantPast
    private var summarisedAt = MonotonicTime.distantPast

    /// So many retries, with nothing sent in between, are an outage.
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

    /// The transport got an answer about a message. Returns the retries and seconds of the outage that ends with it.
    mutating func answered(at now: MonotonicTime) -> (retries: Int, seconds: Double)? {
        let ended = retries > OutageLog.threshold ? (retries, now.seconds(since: began)) : nil
        retries = 0
        summarisedAt = MonotonicTime.distantPast
        return ended
    }
}
