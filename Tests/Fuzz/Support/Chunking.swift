/// Two ways in which the same octets can arrive: in one piece, and in short ones, which cut CRLFs and words in two.
///
/// The cuts are drawn from the octets themselves: a failure repeats, and the files of a corpus hold nothing but the input.
public func chunkings(of input: [UInt8]) -> [[ArraySlice<UInt8>]] {
    [[input[...]], scattered(input)]
}

private func scattered(_ input: [UInt8]) -> [ArraySlice<UInt8>] {
    var random = Scatter(seed: fingerprint(input))
    // Octet by octet, or mostly so, or in pieces of a few.
    let longest = [1, 2, 4, 16][Int(random.next() % 4)]
    var chunks: [ArraySlice<UInt8>] = []
    chunks.reserveCapacity(input.count)
    var start = 0
    while start < input.count {
        let end = min(input.count, start + 1 + Int(random.next() % UInt64(longest)))
        chunks.append(input[start..<end])
        start = end
    }
    return chunks
}

/// FNV-1a.
public func fingerprint(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

/// SplitMix64.
private struct Scatter {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Octets as text that shows each of them, for messages.
public func shown(_ bytes: some Collection<UInt8>) -> String {
    String(decoding: bytes, as: UTF8.self).debugDescription
}
