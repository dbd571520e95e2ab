/// Something that the relay does often, by itself.
public struct Workload: Sendable {
    /// Does it so many times.
    public typealias Repeat = (_ count: Int) async throws -> Void

    public let name: String
    /// How many times make a measurement: of what takes microseconds a thousand, or the clock's own cost would show.
    public let repetitions: Int
    /// Makes ready what is not to be measured.
    public let prepare: @Sendable () async throws -> Repeat

    init(_ name: String, repetitions: Int = 1000, prepare: @escaping @Sendable () async throws -> Repeat) {
        self.name = name
        self.repetitions = repetitions
        self.prepare = prepare
    }

    public static let all = parsing + encrypting + admitting + storing
}

/// Something came out otherwise than it must: then what was measured is something else.
struct UnexpectedResult: Error {
    let what: String
    init(_ what: String) { self.what = what }
}
