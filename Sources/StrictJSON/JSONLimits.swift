/// What a document is held to, so that a hostile one costs no more than its octets are worth.
public struct JSONLimits: Hashable, Sendable {
    /// Arrays and objects within one another, the outermost included. Each takes a frame of the stack, so more than 512 count as
    /// 512.
    public var depth: Int
    /// Values of any kind, members' values included.
    public var values: Int

    public init(depth: Int = 32, values: Int = 100_000) {
        self.depth = depth
        self.values = values
    }

    /// Octets of one number.
    static let numberLength = 256
    static let greatestDepth = 512
}
