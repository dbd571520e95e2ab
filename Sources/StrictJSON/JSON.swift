/// A JSON value (RFC 8259) as it was read.
public indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    /// As it is written, which is exact.
    case number(String)
    case string(String)
    case array([JSON])
    /// Members in the order in which they came; no name twice.
    case object([(name: String, value: JSON)])
}
