/// A rule that must hold for any input. Besides, no input may crash the relay.
///
/// The same properties run under libFuzzer (`make fuzz`) and in `make test`, which checks the corpora and all past
/// failures.
public struct Property: Sendable {
    /// The name of the property. Its corpus and its past failures are in folders with this name.
    public let name: String
    private let body: @Sendable ([UInt8]) throws -> Void

    public init(_ name: String, _ body: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.name = name
        self.body = body
    }

    /// - Throws: ``Violation`` if the property does not hold.
    public func check(_ input: [UInt8]) throws { try body(input) }

    /// Checks an input of libFuzzer. A violation ends the process, so that libFuzzer treats it as a crash and keeps the
    /// input.
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
