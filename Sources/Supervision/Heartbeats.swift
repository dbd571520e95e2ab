import RelayCore

/// Who was asked for a sign of life, and who has not answered.
///
/// A pure value over moments of a monotonic clock. A part is asked again once it has answered, so one that hangs has one
/// question to answer however long it hangs, and a machine that slept does not make anybody late who answers on waking.
public struct Heartbeats: Sendable {
    /// Something that must turn: an event loop, a lane of the worker, the store.
    public struct Part: Hashable, Sendable {
        public var name: String
        /// Seconds that it may take to answer.
        public var patience: Double

        public init(_ name: String, patience: Double) {
            self.name = name
            self.patience = patience
        }
    }

    /// A part that has not answered in time.
    public struct Silence: Hashable, Sendable {
        public var name: String
        /// Since it was asked.
        public var seconds: Double

        public init(name: String, seconds: Double) {
            self.name = name
            self.seconds = seconds
        }
    }

    private let parts: [Part]
    private var askedAt: [MonotonicTime?]

    public init(_ parts: [Part]) {
        self.parts = parts
        askedAt = Array(repeating: nil, count: parts.count)
    }

    /// The numbers of the parts that are to be asked now: all that owe no answer.
    public mutating func ask(at now: MonotonicTime) -> [Int] {
        let due = parts.indices.filter { askedAt[$0] == nil }
        for part in due { askedAt[part] = now }
        return due
    }

    /// A part has answered, by its number.
    public mutating func answered(_ part: Int) { askedAt[part] = nil }

    public func silences(at now: MonotonicTime) -> [Silence] {
        zip(parts, askedAt).compactMap { part, askedAt in
            guard let seconds = askedAt.map({ now.seconds(since: $0) }), seconds > part.patience else { return nil }
            return Silence(name: part.name, seconds: seconds)
        }
    }
}
