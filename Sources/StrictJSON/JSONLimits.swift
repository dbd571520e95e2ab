/// The limits for a document, so that a hostile document costs little more than its octets.
public struct JSONLimits: Hashable, Sendable {
    /// How many arrays and objects may be nested, including the outermost. Each level takes a stack frame, so a limit
    /// over 512 counts as 512.
    public var depth: Int
    /// The largest number of values of any kind, including the values of members.
    public var values: Int

    public init(depth: Int = 32, values: Int = 100_000) {
        self.depth = depth
        self.values = values
    }

    /// The largest number of octets in one number.
    static let numberLength = 256
    static let greatestDepth = 512
}
