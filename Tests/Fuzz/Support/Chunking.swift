/// Two ways in which the same octets can arrive: in one piece, and in short pieces, which split CRLFs and words.
///
/// The cuts depend only on the octets. So a failure can be repeated, and the files of a corpus hold only the input.
public func chunkings(of input: [UInt8]) -> [[ArraySlice<UInt8>]] {
    [[input[...]], scattered(input)]
}

private func scattered(_ input: [UInt8]) -> [ArraySlice<UInt8>] {
    var random = Scatter(seed: fingerprint(input))
    // The longest piece has 1, 2, 4 or 16 octets.
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

/// The hash of the octets by FNV-1a.
public func fingerprint(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

/// The random number generator SplitMix64.
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

/// Octets as text for messages, with control characters escaped.
public func shown(_ bytes: some Collection<UInt8>) -> String {
    String(decoding: bytes, as: UTF8.self).debugDescription
}
