/// The description of a metric before its first use: its name, its kind, its help text, and the buckets of a histogram.
public struct MetricDescription: Hashable, Sendable {
    /// The kinds of metric.
    public enum Kind: Hashable, Sendable {
        case counter
        case gauge
        /// With the upper bounds of the buckets in ascending order. The last bucket, `+Inf`, is added.
        case histogram(buckets: [Double])
    }

    /// The name of the metric, without the suffixes of a histogram's series.
    public var name: String
    /// The kind of metric.
    public var kind: Kind
    /// The help text: a sentence for people.
    public var help: String

    public init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

extension MetricDescription.Kind {
    /// The kind's name in the exposition format.
    public var word: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        }
    }

    /// Buckets in seconds, from a millisecond to ten seconds, for times without an expected range.
    public static let times = MetricDescription.Kind.histogram(
        buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
}
