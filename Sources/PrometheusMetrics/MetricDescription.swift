/// What is known of a metric before it is used: its name and kind, what is said about it, and for a histogram its buckets.
public struct MetricDescription: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case counter
        case gauge
        /// With the upper bounds of its buckets, ascending; the last, `+Inf`, is added.
        case histogram(buckets: [Double])
    }

    public var name: String
    public var kind: Kind
    /// A sentence, for people.
    public var help: String

    public init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

extension MetricDescription.Kind {
    /// As the exposition format calls it.
    public var word: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        }
    }

    /// Seconds from a millisecond to ten: where nobody says what to expect.
    public static let times = MetricDescription.Kind.histogram(
        buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
}
