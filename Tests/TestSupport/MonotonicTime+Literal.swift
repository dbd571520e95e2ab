import RelayCore

/// Tests write moments as plain numbers, in seconds.
extension MonotonicTime: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
    public init(floatLiteral seconds: Double) { self.init(seconds: seconds) }
    public init(integerLiteral seconds: Int64) { self.init(seconds: Double(seconds)) }
}
