import NIOCore

/// How long a client may take for what.
struct Timeouts: Sendable {
    /// Between two commands.
    var idle: TimeAmount
    /// From connecting until it has authenticated, the TLS handshake included.
    var authentication: TimeAmount
    /// The same while most connections are in use, where it is shorter. Each connection looks so often whether that is so.
    var authenticationUnderStress = TimeAmount.seconds(10)
    /// Over so long the speed of a message is measured.
    var transferWindow = TimeAmount.seconds(60)
    /// The least speed of a message, in octets a second.
    var minimumTransferRate = SMTPServerConfiguration.minimumTransferRate
    /// How long a client may be silent on its way to its first message while the server shuts down.
    var quiet = TimeAmount.seconds(5)
}

/// What a connection that ran out of time was waited for.
public enum TimeoutKind: String, CaseIterable, Hashable, Sendable {
    /// The next command.
    case command
    /// Authentication, on an encrypted connection or one that may do without.
    case authentication
    /// The TLS handshake.
    case handshake
    /// The content of a message.
    case content
}

/// The times of one connection, and what follows from them: a value that is told the time.
struct ConnectionTimes: Sendable {
    /// What the connection is doing, as far as its time goes.
    enum Activity: Hashable, Sendable {
        /// Waiting for a command of a client that has not authenticated.
        case unauthenticated
        /// Waiting for a command.
        case authenticated
        /// Somebody else decides: the store, the clock, the spool.
        case waiting
        /// Receiving content, of which so many octets have come. `isDiskSlow`: it is not the client that is slow.
        case content(received: Int, isDiskSlow: Bool)
    }

    enum Expiry: Hashable, Sendable {
        /// The time of the shutdown is over.
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
    /// When the connection is cut off, because the server shuts down.
    private(set) var cutOffAt: NIODeadline?

    init(_ timeouts: Timeouts, connectedAt: NIODeadline) {
        self.timeouts = timeouts
        self.connectedAt = connectedAt
        lastCommandAt = connectedAt
        windowStart = connectedAt
    }

    mutating func commandReceived(at now: NIODeadline) { lastCommandAt = now }

    mutating func shutdownBegan(at now: NIODeadline, limit: TimeAmount?) { cutOffAt = limit.map { now + $0 } }

    /// Content begins, or goes on after the disk had held it up.
    mutating func contentResumed(at now: NIODeadline, received: Int) {
        windowStart = now
        receivedAtWindowStart = received
    }

    /// Whether the client has been silent for so long that the shutdown need not wait for its first message.
    func isQuiet(at now: NIODeadline) -> Bool { now >= lastCommandAt + timeouts.quiet }

    /// When the times are to be looked at next.
    ///
    /// - Parameter awaitsFirstMessage: the server shuts down, and waits for the client's first message.
    func nextLook(_ activity: Activity, awaitsFirstMessage: Bool, at now: NIODeadline) -> NIODeadline {
        var next: NIODeadline
        switch activity {
        case .content: next = windowStart + timeouts.transferWindow
        case .waiting: next = now + .seconds(1)
        case .authenticated: next = lastCommandAt + timeouts.idle
        case .unauthenticated:
            // Stress may begin at any time; whether it has is looked at now and then rather than told to thousands at once.
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

    /// What has run out, if anything has.
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
