import Logging
import RelayCore
import Synchronization

/// Writes the log lines that clients cause, and limits their number for each client. So no client can flood the log.
///
/// The first nine lines of a client in a second are written at once. The lines after the ninth are only counted. At the
/// end of the second, one line says how many lines were left out and what they were about. Lines of level debug are all
/// written: an operator who sets that level wants to see everything.
public final class ClientLog: Sendable {
    private let logger: Logger
    private let clock: any RelayClock
    private let limiter = Mutex(ClientLogLimiter())

    public init(logger: Logger, clock: any RelayClock) {
        self.logger = logger
        self.clock = clock
    }

    /// Whether lines of this level are written at all.
    public func isEnabled(_ level: Logger.Level) -> Bool { level >= logger.logLevel }

    /// - Parameters:
    ///   - message: what happened. It must be a constant of the program.
    ///   - kind: a word, such as the reason word, that distinguishes lines with the same message. Lines that are left
    ///     out are counted by message and kind.
    ///   - metadata: the fields of the line. They may contain text from the client, because the log handler escapes it.
    public func write(
        _ level: Logger.Level, _ message: String, client: IPAddress, kind: String = "",
        metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        guard isEnabled(level) else { return }
        if level >= .info {
            let now = clock.monotonicNow()
            let (goesOut, due) = limiter.withLock { $0.add(message, kind, client, at: now) }
            for summary in due { write(summary) }
            guard goesOut else { return }
        }
        var metadata = metadata()
        metadata["client"] = "\(client)"
        logger.log(level: level, "\(message)", metadata: metadata)
    }

    /// Writes the summaries of the seconds that are over. Call it about once a second.
    public func flush() {
        let now = clock.monotonicNow()
        for summary in limiter.withLock({ $0.flush(at: now) }) { write(summary) }
    }

    private func write(_ summary: ClientLogLimiter.Summary) {
        logger.notice(
            "more lines left out",
            metadata: [
                "client": summary.client.map { "\($0)" } ?? "many clients", "count": "\(summary.count)",
                "about": "\(summary.about.joined(separator: ", "))",
            ])
    }
}

/// Decides which lines about clients are written. This is a value without a clock: the caller passes in the times of a
/// monotonic clock. Its size is bounded.
struct ClientLogLimiter: Sendable {
    /// How many lines of a client were left out in one second.
    struct Summary: Hashable, Sendable {
        /// Nil stands for the clients beyond ``ClientLogLimiter/maximumClients``, which are counted together.
        var client: IPAddress?
        var count: Int
        /// The messages and kinds of those lines, each with its count.
        var about: [String]
    }

    private struct Window: Sendable {
        var since: MonotonicTime
        var written = 0
        var leftOut: [String: Int] = [:]
    }

    /// How many lines of a client are written in a second. The summary is written in addition.
    static let direct = 9
    /// The length of a window in seconds.
    static let window = 1.0
    /// The largest number of clients that are counted separately at one time.
    static let maximumClients = 4096

    private var windows: [IPAddress: Window] = [:]
    /// The lines of clients beyond ``maximumClients``.
    private var others = 0
    private var othersSince = MonotonicTime.distantPast

    /// Returns whether the line must be written, and the summaries that are due before it.
    mutating func add(
        _ message: String, _ kind: String, _ client: IPAddress, at now: MonotonicTime
    ) -> (goesOut: Bool, due: [Summary]) {
        // An IPv6 network of /64 counts as one host, because its addresses cost nothing.
        let host = client.host
        var due: [Summary] = []
        var window = windows[host]
        if let old = window, now.seconds(since: old.since) >= Self.window {
            if let summary = Self.summary(host, old) { due.append(summary) }
            window = nil
        }
        if window == nil, windows[host] == nil, windows.count >= Self.maximumClients {
            due += flush(at: now)
            guard windows.count < Self.maximumClients else {
                if others == 0 { othersSince = now }
                others += 1
                return (false, due)
            }
        }
        var current = window ?? Window(since: now)
        let goesOut = current.written < Self.direct
        if goesOut {
            current.written += 1
        } else {
            current.leftOut[kind.isEmpty ? message : "\(message) \(kind)", default: 0] += 1
        }
        windows[host] = current
        return (goesOut, due)
    }

    /// Returns the summaries of all windows that are over, and forgets these windows.
    mutating func flush(at now: MonotonicTime) -> [Summary] {
        guard !windows.isEmpty || others > 0 else { return [] }
        var due: [Summary] = []
        for (client, window) in windows where now.seconds(since: window.since) >= Self.window {
            windows[client] = nil
            if let summary = Self.summary(client, window) { due.append(summary) }
        }
        if others > 0, now.seconds(since: othersSince) >= Self.window {
            due.append(Summary(client: nil, count: others, about: []))
            others = 0
        }
        return due
    }

    private static func summary(_ client: IPAddress, _ window: Window) -> Summary? {
        guard !window.leftOut.isEmpty else { return nil }
        let count = window.leftOut.values.reduce(0, +)
        let about = window.leftOut.sorted { $0.value > $1.value }.prefix(5).map { "\($0.key) (\($0.value))" }
        return Summary(client: client, count: count, about: about)
    }
}
