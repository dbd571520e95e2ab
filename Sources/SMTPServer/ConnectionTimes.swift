import NIOCore

/// How long a client may take for each step.
struct Timeouts: Sendable {
    /// The longest time between two commands of a client.
    var idle: TimeAmount
    /// The longest time from connecting until the client has authenticated. It includes the TLS handshake.
    var authentication: TimeAmount
    /// The longest time for authentication while most connections are in use, if it is shorter than ``authentication``.
    /// Each connection checks at this interval whether most connections are in use.
    var authenticationUnderStress = TimeAmount.seconds(10)
    /// The period over which the transfer rate of a message's content is measured.
    var transferWindow = TimeAmount.seconds(60)
    /// The lowest transfer rate of a message's content, in octets per second.
    var minimumTransferRate = SMTPServerConfiguration.minimumTransferRate
    /// While the server shuts down, a client that has sent no message yet may be silent for this long.
    var quiet = TimeAmount.seconds(5)
}

/// What the relay was waiting for when a connection timed out.
public enum TimeoutKind: String, CaseIterable, Hashable, Sendable {
    /// The next command.
    case command
    /// Authentication, on a connection that is encrypted or that may authenticate without TLS.
    case authentication
    /// The TLS handshake.
    case handshake
    /// The content of a message.
    case content
}

/// The time-outs of one connection and what follows from them. It is a value without a clock: the caller passes in the
/// current time.
struct ConnectionTimes: Sendable {
    /// What the connection is doing, as far as time-outs depend on it.
    enum Activity: Hashable, Sendable {
        /// The relay waits for a command, and the client has not authenticated.
        case unauthenticated
        /// The relay waits for a command, and the client has authenticated.
        case authenticated
        /// The relay waits for the store, a timer or the spool, not for the client.
        case waiting
        /// The relay receives content, of which `received` octets have come. `isDiskSlow`: whether the disk, not the
        /// client, delays the content.
        case content(received: Int, isDiskSlow: Bool)
    }

    enum Expiry: Hashable, Sendable {
        /// The time limit of the shutdown has passed.
        case cutOff
        case idle
        case authentication(seconds: Int, underStress: Bool)
        case content
    }

    private let timeouts: Timeouts
    private let connectedAt: NIODeadline
    private(set) var lastCommandAt: NIODeadline
    private var windowStart: NIODeadline
    private var receivedAtWindowStart = 0
    /// When the connection is cut off because the server is shutting down. Nil while there is no such limit.
    private(set) var cutOffAt: NIODeadline?

    init(_ timeouts: Timeouts, connectedAt: NIODeadline) {
        self.timeouts = timeouts
        self.connectedAt = connectedAt
        lastCommandAt = connectedAt
        windowStart = connectedAt
    }

    mutating func commandReceived(at now: NIODeadline) { lastCommandAt = now }

    mutating func shutdownBegan(at now: NIODeadline, limit: TimeAmount?) { cutOffAt = limit.map { now + $0 } }

    /// Content begins, or continues after the disk had delayed it.
    mutating func contentResumed(at now: NIODeadline, received: Int) {
        windowStart = now
        receivedAtWindowStart = received
    }

    /// Whether the client has been silent for so long that the shutdown need not wait for its first message.
    func isQuiet(at now: NIODeadline) -> Bool { now >= lastCommandAt + timeouts.quiet }

    /// When the time-outs must be checked next.
    ///
    /// - Parameter awaitsFirstMessage: whether the server is shutting down and waits for the client's first message.
    func nextLook(_ activity: Activity, awaitsFirstMessage: Bool, at now: NIODeadline) -> NIODeadline {
        var next: NIODeadline
        switch activity {
        case .content: next = windowStart + timeouts.transferWindow
        case .waiting: next = now + .seconds(1)
        case .authenticated: next = lastCommandAt + timeouts.idle
        case .unauthenticated:
            // Each connection checks at its interval whether most connections are in use. So the relay need not notify
            // thousands of connections at once.
            let interval = timeouts.authenticationUnderStress
            let looks = (now - connectedAt).nanoseconds / interval.nanoseconds + 1
            next = min(
                lastCommandAt + timeouts.idle, connectedAt + timeouts.authentication, connectedAt + interval * looks)
        }
        if awaitsFirstMessage, activity == .authenticated || activity == .unauthenticated {
            next = min(next, lastCommandAt + timeouts.quiet)
        }
        return min(next, cutOffAt ?? next)
    }

    /// Returns the time-out that has expired, or nil.
    mutating func expired(_ activity: Activity, isUnderStress: Bool, at now: NIODeadline) -> Expiry? {
        if let cutOffAt, now >= cutOffAt { return .cutOff }
        switch activity {
        case .waiting: return nil
        case .unauthenticated:
            let isShortened = isUnderStress && timeouts.authenticationUnderStress < timeouts.authentication
            let timeout = isShortened ? timeouts.authenticationUnderStress : timeouts.authentication
            if now >= connectedAt + timeout {
                return .authentication(
                    seconds: Int(timeout.nanoseconds / 1_000_000_000), underStress: isShortened)
            }
        case .authenticated: break
        case .content(let received, let isDiskSlow):
            guard now >= windowStart + timeouts.transferWindow else { return nil }
            let seconds = Int((now - windowStart).nanoseconds / 1_000_000_000)
            if !isDiskSlow, received - receivedAtWindowStart < seconds * timeouts.minimumTransferRate {
                return .content
            }
            contentResumed(at: now, received: received)
            return nil
        }
        return now >= lastCommandAt + timeouts.idle ? .idle : nil
    }
}
