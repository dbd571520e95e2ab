/// Scans the octets of a string.
enum StringScan {
    /// The first index from `start` on whose octet is not plain text: a quotation mark, a backslash, a control
    /// character or an octet above 127. The end index if there is none.
    ///
    /// The function looks at eight octets at a time, because an attachment is one string of millions of octets.
    static func endOfPlainText(in bytes: ArraySlice<UInt8>, from start: Int) -> Int {
        bytes.withUnsafeBytes { octets in
            var index = start - bytes.startIndex
            while index + 8 <= octets.count {
                let word = UInt64(littleEndian: octets.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                // The high bit of each octet that is not plain text. A borrow can reach the octets above such an octet,
                // but no others, so the lowest bit that is set is correct.
                let special =
                    ((word ^ quotes) &- ones) | ((word ^ backslashes) &- ones) | (word &- blanks) | word
                let marked = special & highBits
                if marked != 0 { return bytes.startIndex + index + marked.trailingZeroBitCount / 8 }
                index += 8
            }
            while index < octets.count, isPlain(octets[index]) { index += 1 }
            return bytes.startIndex + index
        }
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits = ones &* 0x80
    private static let blanks = ones &* 0x20
    private static let quotes = ones &* 0x22
    private static let backslashes = ones &* 0x5C

    static func isPlain(_ octet: UInt8) -> Bool {
        octet >= 0x20 && octet < 0x80 && octet != UInt8(ascii: "\"") && octet != UInt8(ascii: "\\")
    }

    /// The length in octets of the scalar that begins at `index`, whose octet is above 127. Nil if the scalar is not
    /// well-formed (Unicode, table 3-7): if it is cut off, overlong, a surrogate or beyond U+10FFFF.
    static func lengthOfScalar(in bytes: ArraySlice<UInt8>, at index: Int) -> Int? {
        let second: ClosedRange<UInt8>
        let length: Int
        switch bytes[index] {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard bytes.endIndex - index >= length, second ~= bytes[index + 1] else { return nil }
        for next in bytes[(index + 2)..<(index + length)] where !(0x80...0xBF ~= next) { return nil }
        return length
    }
}

extension StringScan {
    /// The first index from `start` on whose octet must be escaped in a string. The end index if there is none.
    static func endOfTextWithoutEscapes(in bytes: ArraySlice<UInt8>, from start: Int) -> Int {
        var index = start
        while true {
            index = endOfPlainText(in: bytes, from: index)
            guard index < bytes.endIndex, bytes[index] >= 0x80 else { return index }
            index += 1
        }
    }
}
