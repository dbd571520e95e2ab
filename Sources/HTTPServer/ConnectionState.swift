import NIOCore

/// The time-outs for a client of the HTTP face.
package struct HTTPTimeouts: Sendable {
    package init() {}

    /// From connecting to the end of the first request's head, including the TLS handshake.
    var firstRequest = TimeAmount.seconds(60)
    /// From the end of a response to the end of the next request's head.
    var idle = TimeAmount.seconds(75)
    /// The basic time for a request's body. Each ``minimumTransferRate`` octets received add a second.
    var body = TimeAmount.seconds(60)
    /// The lowest average rate of a body, in octets per second.
    var minimumTransferRate = 500
    /// The time in which the client must receive each piece of a response.
    var response = TimeAmount.seconds(60)
    /// How long the rest of a body is read after the response was sent, so that the client can read the response.
    var linger = TimeAmount.seconds(5)
    /// The largest number of octets of that rest of a body that are read.
    var lingerOctets = 32 << 20
}

/// The state of one HTTP/1.1 connection: the order of requests and responses, and their time-outs. It is a value: the
/// caller reports what was received and sent, and when.
///
/// Requests are answered one after the other. A response that is sent before its request has ended closes the
/// connection (RFC 9112 section 9.6), so the rest of an unwanted body is never read without a limit.
package struct HTTPConnectionState: Sendable {
    private enum Phase: Sendable {
        /// The head of a request is expected.
        case awaiting(until: NIODeadline)
        /// The body of a request is being received. The response may have begun, but has not ended.
        case receiving(Body, Answer)
        /// The whole request has been received.
        case answering(Answer)
        /// The response has been sent. The rest of the request is read only so that the client can read the response.
        case lingering(until: NIODeadline, octetsLeft: Int)
        case ended
    }

    private enum Answer: Sendable {
        case pending
        /// The response is being sent. The client last received a part of it at this time.
        case begun(NIODeadline)
    }

    private struct Body: Sendable {
        var began: NIODeadline
        var received = 0
        /// How long reading was paused. This time does not count against the client.
        var heldUp = TimeAmount.zero
        /// When the present pause in reading began. Nil while the relay reads.
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
        /// Pass the input on.
        case pass
        /// The input belongs to a later request. Keep it until the response to the present request has been sent.
        case keep
        case discard
        /// Close the connection: the input is the rest of an unwanted body, and it is too long.
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

    /// Records that the relay pauses reading because it is still working on earlier data, or that it resumes reading.
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

    /// Whether more input is needed from the client for the current request.
    var wantsInput: Bool {
        switch phase {
        case .awaiting, .receiving: true
        case .answering, .lingering, .ended: false
        }
    }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    /// Whether a request has begun but is not complete.
    var isReceiving: Bool { if case .receiving = phase { true } else { false } }

    /// Whether a request is being received or answered.
    var isBusy: Bool {
        switch phase {
        case .receiving, .answering: true
        case .awaiting, .lingering, .ended: false
        }
    }

    // MARK: What goes

    enum Outbound: Hashable, Sendable {
        case pass
        /// Tell the client that the connection ends after this response.
        case passAsLast
        /// Send nothing: the connection is about to end.
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

    /// Whether a part of a response after its head may be sent.
    var isResponding: Bool {
        switch phase {
        case .receiving(_, .begun), .answering(.begun): true
        case .receiving, .answering, .awaiting, .lingering, .ended: false
        }
    }

    /// The client has received a piece of the response.
    mutating func responseTaken(at now: NIODeadline) {
        switch phase {
        case .receiving(let body, .begun): phase = .receiving(body, .begun(now))
        case .answering(.begun): phase = .answering(.begun(now))
        case .receiving, .answering, .awaiting, .lingering, .ended: break
        }
    }

    enum AfterResponse: Hashable, Sendable {
        /// The next request may come, or may have arrived already.
        case next
        /// Read for a while, then close.
        case linger
        case close
    }

    /// The client has received the whole response.
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

    /// The next response is the last one: the server shuts down, or the client requests it.
    mutating func endAfterResponse() { endsAfterResponse = true }

    enum OnUnreadable: Hashable, Sendable {
        /// Report it to the client. That is the last response.
        case tell
        /// Send the response to the previous request first. It is the last one.
        case wait
        case close
    }

    /// The input can't be read as HTTP.
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

    /// A time-out that has expired.
    package enum Expiry: Hashable, Sendable {
        /// No request's head arrived in time: `firstRequest` or `idle` of ``HTTPTimeouts`` has expired.
        case idle
        /// A body arrived too slowly. The relay can still send a response that says so.
        case body
        /// The client does not receive its response.
        case response
        /// The time for reading the rest of a refused body has ended.
        case linger
    }

    /// When to check the time-outs; nil while the relay is working on a request.
    var deadline: NIODeadline? {
        switch phase {
        case .awaiting(let until), .lingering(let until, _): until
        case .receiving(let body, .pending): body.holdsUpSince == nil ? body.deadline(timeouts) : nil
        case .receiving(_, .begun(let since)), .answering(.begun(let since)): since + timeouts.response
        case .answering(.pending), .ended: nil
        }
    }

    /// The time-out that has expired, if any.
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
