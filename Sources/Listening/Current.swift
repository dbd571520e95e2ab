import Synchronization

/// A value that can be replaced while servers run.
public final class Current<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    /// Holds this value until another is set.
    public init(_ value: Value) { state = Mutex(value) }

    /// The current value. It can be read and set on any thread.
    public var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
