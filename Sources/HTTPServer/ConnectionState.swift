import NIOCore

/// How long a client of the HTTP face may take for what.
package struct HTTPTimeouts: Sendable {
    package init() {}

    /// From connecting to the end of the first request's head, the TLS handshake included.
    var firstRequest = TimeAmount.seconds(60)
    /// From the end of a response to the end of the next request's head.
    var idle = TimeAmount.seconds(75)
    /// For the body of a request, before its octets are counted.
    var body = TimeAmount.seconds(60)
    /// The least speed of a body over its whole time, in octets a second. Each so many octets give a second more.
    var minimumTransferRate = 500
    /// For each piece of a response, until the client has taken it.
    var response = TimeAmount.seconds(60)
    /// What still comes of a body after the response went out is read for so long, so that the client sees the response.
    var linger = TimeAmount.seconds(5)
    /// And so many octets of it.
    var lingerOctets = 32 << 20
}

/// The course of one HTTP/1.1 connection, as far as its order and its times go: a value that is told what came and what went, and when.
///
/// One request is answered after the other. A response that goes out before its request has come to its end closes the connection
/// (RFC 9112 section 9.6): the rest of a body that nobody wants is never read without a limit.
package struct HTTPConnectionState: Sendable {
    private enum Phase: Sendable {
        /// The head of a request is to come.
        case awaiting(until: NIODeadline)
        /// The body of a request comes. It may be answered already, though not to the end.
        case receiving(Body, Answer)
        /// All of the request is here.
        case answering(Answer)
        /// The response is out, and the rest of the request is read only so that the client sees it.
        case lingering(until: NIODeadline, octetsLeft: Int)
        case ended
    }

    private enum Answer: Sendable {
        case pending
        /// It goes out, and the client has taken some of it at this moment, the latest.
        case begun(NIODeadline)
    }

    private struct Body: Sendable {
        var began: NIODeadline
        var received = 0
        /// How long the relay did not read, and the client is not to blame.
        var heldUp = TimeAmount.zero
        /// Since when it does not read.
        var holdsUpSince: NIODeadline?

        func deadline(_ timeouts: HTTPTimeouts) -> NIODeadline {
            began + timeouts.body + heldUp + .seconds(Int64(received / timeouts.minimumTransferRate))
        }
    }

    private let timeouts: HTTPTimeouts
    private var phase: Phase
    private var endsAfterResponse = false

    init(_ timeouts: HTTPTimeouts, connectedAt now: NIODeadline) {
        self.timeouts = timeouts
        phase = .awaiting(until: now + timeouts.firstRequest)
    }

    // MARK: What comes

    enum Inbound: Hashable, Sendable {
        /// Hand it on.
        case pass
        /// It belongs to a request behind the one that is being answered. Keep it until that is done.
        case keep
        case discard
        /// Nobody wants it, and there is too much of it.
        case close
    }

    mutating func headReceived(at now: NIODeadline) -> Inbound {
        switch phase {
        case .awaiting:
            phase = .receiving(Body(began: now), .pending)
            return .pass
        case .answering: return .keep
        case .receiving, .lingering, .ended: return .discard
        }
    }

    mutating func bodyReceived(_ octets: Int) -> Inbound {
        switch phase {
        case .receiving(var body, let answer):
            body.received += octets
            phase = .receiving(body, answer)
            return .pass
        case .answering: return .keep
        case .lingering(let until, let left):
            guard left > octets else {
                phase = .ended
                return .close
            }
            phase = .lingering(until: until, octetsLeft: left - octets)
            return .discard
        case .awaiting, .ended: return .discard
        }
    }

    mutating func endReceived() -> Inbound {
        switch phase {
        case .receiving(_, let answer):
            phase = .answering(answer)
            return .pass
        case .answering: return .keep
        case .awaiting, .lingering, .ended: return .discard
        }
    }

    /// The relay has taken what there is and does not read for the moment, or reads again.
    mutating func reading(_ reads: Bool, at now: NIODeadline) {
        guard case .receiving(var body, let answer) = phase else { return }
        if reads, let since = body.holdsUpSince {
            body.heldUp = body.heldUp + (now - since)
            body.holdsUpSince = nil
        } else if !reads, body.holdsUpSince == nil {
            body.holdsUpSince = now
        }
        phase = .receiving(body, answer)
    }

    /// Whether more is to be read from the client for the request at hand.
    var wantsInput: Bool {
        switch phase {
        case .awaiting, .receiving: true
        case .answering, .lingering, .ended: false
        }
    }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    /// Whether a request has begun and is not whole.
    var isReceiving: Bool { if case .receiving = phase { true } else { false } }

    /// Whether a request is under way.
    var isBusy: Bool {
        switch phase {
        case .receiving, .answering: true
        case .awaiting, .lingering, .ended: false
        }
    }

    // MARK: What goes

    enum Outbound: Hashable, Sendable {
        case pass
        /// Tell the client that the connection ends with this response.
        case passAsLast
        /// The connection is about to end; nothing more goes out.
        case drop
    }

    mutating func responseBegins(at now: NIODeadline) -> Outbound {
        switch phase {
        case .receiving(let body, .pending):
            phase = .receiving(body, .begun(now))
            endsAfterResponse = true
            return .passAsLast
        case .answering(.pending):
            phase = .answering(.begun(now))
            return endsAfterResponse ? .passAsLast : .pass
        case .receiving, .answering, .awaiting, .lingering, .ended: return .drop
        }
    }

    /// Whether a part of a response behind its head may go out.
    var isResponding: Bool {
        switch phase {
        case .receiving(_, .begun), .answering(.begun): true
        case .receiving, .answering, .awaiting, .lingering, .ended: false
        }
    }

    /// The client has taken a piece of the response.
    mutating func responseTaken(at now: NIODeadline) {
        switch phase {
        case .receiving(let body, .begun): phase = .receiving(body, .begun(now))
        case .answering(.begun): phase = .answering(.begun(now))
        case .receiving, .answering, .awaiting, .lingering, .ended: break
        }
    }

    enum AfterResponse: Hashable, Sendable {
        /// The next request may come; perhaps it is here already.
        case next
        /// Read on for a while, then close.
        case linger
        case close
    }

    /// The client has taken all of the response.
    mutating func responseEnded(at now: NIODeadline) -> AfterResponse {
        switch phase {
        case .receiving:
            phase = .lingering(until: now + timeouts.linger, octetsLeft: timeouts.lingerOctets)
            return .linger
        case .answering where endsAfterResponse:
            phase = .ended
            return .close
        case .answering:
            phase = .awaiting(until: now + timeouts.idle)
            return .next
        case .awaiting, .lingering, .ended: return .close
        }
    }

    /// The next response is the last: the server shuts down, or the client wants it so.
    mutating func endAfterResponse() { endsAfterResponse = true }

    enum OnUnreadable: Hashable, Sendable {
        /// Tell the client so; it is the last response.
        case tell
        /// The response to the request before it goes out first, and is the last.
        case wait
        case close
    }

    /// What came can't be read as HTTP.
    mutating func unreadable(at now: NIODeadline) -> OnUnreadable {
        switch phase {
        case .awaiting, .receiving(_, .pending):
            phase = .lingering(until: now + timeouts.linger, octetsLeft: timeouts.lingerOctets)
            return .tell
        case .answering:
            endsAfterResponse = true
            return .wait
        case .receiving, .lingering, .ended:
            phase = .ended
            return .close
        }
    }

    // MARK: Time

    package enum Expiry: Hashable, Sendable {
        /// No request came.
        case idle
        /// A body came too slowly; the client can be told.
        case body
        /// The client does not take its response.
        case response
        /// The time for reading the rest of a refused body is over.
        case linger
    }

    /// When the times are to be looked at; nil while the relay is at work.
    var deadline: NIODeadline? {
        switch phase {
        case .awaiting(let until), .lingering(let until, _): until
        case .receiving(let body, .pending): body.holdsUpSince == nil ? body.deadline(timeouts) : nil
        case .receiving(_, .begun(let since)), .answering(.begun(let since)): since + timeouts.response
        case .answering(.pending), .ended: nil
        }
    }

    /// What has run out, if anything has.
    mutating func expired(at now: NIODeadline) -> Expiry? {
        guard let deadline, now >= deadline else { return nil }
        switch phase {
        case .awaiting:
            phase = .ended
            return .idle
        case .receiving(_, .pending):
            phase = .lingering(until: now + timeouts.linger, octetsLeft: timeouts.lingerOctets)
            return .body
        case .receiving(_, .begun), .answering(.begun):
            phase = .ended
            return .response
        case .lingering:
            phase = .ended
            return .linger
        case .answering(.pending), .ended: return nil
        }
    }
}
