/// What must hold for any input: not only that nothing crashes.
///
/// The same properties run under libFuzzer (`make fuzz`) and, over the corpora and every past failure, in `make test`.
public struct Property: Sendable {
    /// The folder of its corpus, and of its past failures.
    public let name: String
    private let body: @Sendable ([UInt8]) throws -> Void

    public init(_ name: String, _ body: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.name = name
        self.body = body
    }

    /// - Throws: ``Violation`` where the property does not hold.
    public func check(_ input: [UInt8]) throws { try body(input) }

    /// For libFuzzer, which learns of a violation as it does of a crash, and keeps the input.
    public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        do {
            try check(Array(UnsafeBufferPointer(start: data, count: count)))
        } catch {
            fatalError("\(name): \(error)")
        }
        return 0
    }
}

/// A property that did not hold.
public struct Violation: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// - Throws: ``Violation`` unless `condition` holds.
@inlinable
public func require(_ condition: Bool, _ what: @autoclosure () -> String) throws(Violation) {
    if !condition { throw Violation(what()) }
}
