import RelayCore

/// Keeps track of which parts were asked for a heartbeat and have not answered.
///
/// A pure value over times of a monotonic clock. A part is asked again only after it has answered. So a part that hangs
/// has one open question, however long it hangs. After the machine has slept, a part that answers at once is not late.
public struct Heartbeats: Sendable {
    /// A part of the relay that must keep running: an event loop, a lane of the worker, the store.
    public struct Part: Hashable, Sendable {
        /// The name of the part, for the log.
        public var name: String
        /// The time in seconds within which the part must answer.
        public var timeout: Double

        public init(_ name: String, timeout: Double) {
            self.name = name
            self.timeout = timeout
        }
    }

    /// A part that has not answered in time.
    public struct Silence: Hashable, Sendable {
        /// The name of the part.
        public var name: String
        /// The time since the part was asked.
        public var seconds: Double

        public init(name: String, seconds: Double) {
            self.name = name
            self.seconds = seconds
        }
    }

    private let parts: [Part]
    private var askedAt: [MonotonicTime?]

    /// None of these parts has been asked yet. From now on, a part is named by its position in `parts`.
    public init(_ parts: [Part]) {
        self.parts = parts
        askedAt = Array(repeating: nil, count: parts.count)
    }

    /// Returns the numbers of the parts that must be asked now: all parts without an open question.
    public mutating func ask(at now: MonotonicTime) -> [Int] {
        let due = parts.indices.filter { askedAt[$0] == nil }
        for part in due { askedAt[part] = now }
        return due
    }

    /// Records that the part with this number has answered.
    public mutating func answered(_ part: Int) { askedAt[part] = nil }

    /// The parts that have not answered in time.
    public func silences(at now: MonotonicTime) -> [Silence] {
        zip(parts, askedAt).compactMap { part, askedAt in
            guard let seconds = askedAt.map({ now.seconds(since: $0) }), seconds > part.timeout else { return nil }
            return Silence(name: part.name, seconds: seconds)
        }
    }
}
