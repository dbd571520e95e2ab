extension Collection<UInt8> {
    /// The octets as lower-case hexadecimal, with two digits for each octet.
    public var hexadecimal: String {
        String(unsafeUninitializedCapacity: 2 * count) { text in
            var end = 0
            for octet in self {
                text[end] = digit(octet >> 4)
                text[end + 1] = digit(octet & 15)
                end += 2
            }
            return end
        }
    }
}

private func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }
