import Synchronization

/// SplitMix64: the same numbers on every run and every machine, so that a failure can be repeated.
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    private static let numbers = Atomic<UInt64>(1)

    /// Returns a different generator at each call, for values that must differ from test to test.
    ///
    /// The system's generator is not used. It has no stored property and hence no address, but ThreadSanitizer looks up
    /// the address that is passed on.
    public static func next() -> SeededGenerator {
        SeededGenerator(seed: numbers.add(1, ordering: .relaxed).newValue &* 0x2545_F491_4F6C_DD1D)
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
