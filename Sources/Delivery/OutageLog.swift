import RelayCore

/// Keeps the log readable while everything that is sent fails: then a line a minute tells of all retries.
///
/// A pure value over time as seconds of a monotonic clock.
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
    private var began = 0.0
    private var summarisedAt = -Double.infinity

    /// So many retries, with nothing sent in between, are an outage.
    static let threshold = 5
    static let interval = 60.0

    mutating func retried(at seconds: Double) -> Line {
        if retries == 0 { began = seconds }
        retries += 1
        if retries <= OutageLog.threshold { return .each }
        guard seconds - summarisedAt >= OutageLog.interval else { return .quiet }
        summarisedAt = seconds
        return .summary(retries: retries)
    }

    /// The transport got an answer about a message. Returns the retries and seconds of the outage that ends with it.
    mutating func answered(at seconds: Double) -> (retries: Int, seconds: Double)? {
        let ended = retries > OutageLog.threshold ? (retries, seconds - began) : nil
        retries = 0
        summarisedAt = -Double.infinity
        return ended
    }
}
