/// An operation that the relay does often, without the rest of the relay.
public struct Workload: Sendable {
    /// Runs the operation `count` times.
    public typealias Repeat = (_ count: Int) async throws -> Void

    public let name: String
    /// How many repetitions make a measurement. An operation that takes microseconds needs a thousand. Otherwise the
    /// measurement would include the clock's own cost.
    public let repetitions: Int
    /// Prepares the operation. The preparation is not measured.
    public let prepare: @Sendable () async throws -> Repeat

    init(_ name: String, repetitions: Int = 1000, prepare: @escaping @Sendable () async throws -> Repeat) {
        self.name = name
        self.repetitions = repetitions
        self.prepare = prepare
    }

    public static let all = parsing + encrypting + admitting + storing
}

/// A result was not the expected one, so the measured operation was not the intended one.
struct UnexpectedResult: Error {
    let what: String
    init(_ what: String) { self.what = what }
}
