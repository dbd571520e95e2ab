/// How the body of an entity is encoded (RFC 2045 section 6). It is decoded as leniently as in mail readers: no body is
/// refused.
enum TransferEncoding: Hashable {
    /// 7bit, 8bit and binary. Also unknown encodings, whose text is best shown unchanged.
    case identity
    case base64
    case quotedPrintable

    /// - Parameter field: the body of a Content-Transfer-Encoding field, or nil when there is none.
    init(_ field: ArraySlice<UInt8>?) {
        let word = (field ?? []).drop(while: \.isFoldingWhiteSpace).prefix { $0.isAtomText }
        let lowered = word.lazy.map(\.asciiLowercased)
        if lowered.elementsEqual("base64".utf8) {
            self = .base64
        } else if lowered.elementsEqual("quoted-printable".utf8) {
            self = .quotedPrintable
        } else {
            self = .identity
        }
    }

    /// Returns the first octets of the decoded body, at most `limit`.
    func decoded(_ body: ArraySlice<UInt8>, limit: Int) -> [UInt8] {
        guard limit > 0 else { return [] }
        if self == .identity { return Array(body.prefix(limit)) }
        var octets: [UInt8] = []
        octets.reserveCapacity(min(limit, body.count))
        decode(body) { octet in
            octets.append(octet)
            return octets.count < limit
        }
        return octets
    }

    /// The number of octets of the decoded body.
    func decodedCount(_ body: ArraySlice<UInt8>) -> Int {
        if self == .identity { return body.count }
        var count = 0
        decode(body) { _ in
            count += 1
            return true
        }
        return count
    }

    /// - Parameter take: gets the decoded octets one after another. It returns whether it wants more.
    @inline(__always)
    private func decode(_ body: ArraySlice<UInt8>, _ take: (UInt8) -> Bool) {
        body.withUnsafeBufferPointer { body in
            switch self {
            case .identity: for octet in body where !take(octet) { return }
            case .base64: Self.decodeBase64(body, take)
            case .quotedPrintable: Self.decodeQuotedPrintable(body, take)
            }
        }
    }

    /// Base64 (RFC 2045 section 6.8). Octets that are not digits are skipped. What follows the padding is ignored.
    @inline(__always)
    private static func decodeBase64(_ body: UnsafeBufferPointer<UInt8>, _ take: (UInt8) -> Bool) {
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        // The number of digits since the last whole group of four.
        var position = 0
        for byte in body {
            if byte == .equalsSign {
                // Padding can't come before the third digit of a group.
                if position >= 2 { return }
                continue
            }
            guard let value = byte.base64Value else { continue }
            position = (position + 1) % 4
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                if !take(UInt8(truncatingIfNeeded: buffer >> bits)) { return }
            }
        }
    }

    /// Quoted-printable (RFC 2045 section 6.7). Blanks at the end of a line are dropped, also after the `=` of a soft
    /// line break. A `=` that begins no valid encoding stays as it is.
    @inline(__always)
    private static func decodeQuotedPrintable(_ body: UnsafeBufferPointer<UInt8>, _ take: (UInt8) -> Bool) {
        var index = 0
        while index < body.count {
            let byte = body[index]
            switch byte {
            case .space, .tab:
                let end = blanksEnd(body, from: index)
                if lineEnd(body, at: end) == nil {
                    for blank in body[index..<end] where !take(blank) { return }
                }
                index = end
            case .equalsSign:
                if index + 2 < body.count, let high = body[index + 1].hexValue, let low = body[index + 2].hexValue {
                    if !take(high << 4 | low) { return }
                    index += 3
                } else if let next = lineEnd(body, at: blanksEnd(body, from: index + 1)) {
                    index = next
                } else {
                    if !take(byte) { return }
                    index += 1
                }
            default:
                if !take(byte) { return }
                index += 1
            }
        }
    }

    private static func blanksEnd(_ body: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var index = start
        while index < body.count, body[index].isBlank { index += 1 }
        return index
    }

    /// The index after the line end at `index`, or nil when there is none. The end of the body counts as a line end.
    private static func lineEnd(_ body: UnsafeBufferPointer<UInt8>, at index: Int) -> Int? {
        guard index < body.count else { return body.count }
        if body[index] == .lf { return index + 1 }
        guard body[index] == .cr else { return nil }
        if index + 1 == body.count { return index + 1 }
        return body[index + 1] == .lf ? index + 2 : nil
    }
}
