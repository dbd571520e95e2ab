import InternetMessage

/// The definitions of a line that different mail readers use.
enum Lines {
    static func byCRLF(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        split(bytes) { rest in rest.starts(with: [0x0D, 0x0A]) ? 2 : 0 }
    }

    static func byCROrLF(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        split(bytes) { rest in
            if rest.starts(with: [0x0D, 0x0A]) { return 2 }
            return rest.first == 0x0D || rest.first == 0x0A ? 1 : 0
        }
    }

    /// Splits as Python's `splitlines` does: also at VT, FF, FS, GS, RS, NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR.
    static func byUnicode(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        split(bytes) { rest in
            switch rest.first {
            case 0x0D: rest.starts(with: [0x0D, 0x0A]) ? 2 : 1
            case 0x0A, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E: 1
            case 0xC2: rest.starts(with: [0xC2, 0x85]) ? 2 : 0
            case 0xE2: rest.starts(with: [0xE2, 0x80, 0xA8]) || rest.starts(with: [0xE2, 0x80, 0xA9]) ? 3 : 0
            default: 0
            }
        }
    }

    /// `end` returns the length of the line end at the beginning of its argument, or 0 if there is none.
    private static func split(
        _ bytes: ArraySlice<UInt8>, end: (ArraySlice<UInt8>) -> Int
    ) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = bytes.startIndex
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let length = end(bytes[index...])
            if length > 0 {
                lines.append(bytes[start..<index])
                start = index + length
            }
            index += max(length, 1)
        }
        return start < bytes.endIndex ? lines + [bytes[start...]] : lines
    }

    /// Fields as a lenient reader finds them. It ignores blanks before the colon, and lines without a colon.
    static func fields(_ lines: some Sequence<ArraySlice<UInt8>>) -> [(name: String, body: [UInt8])] {
        var fields: [(name: String, body: [UInt8])] = []
        for line in lines {
            if line.first == 0x20 || line.first == 0x09, !fields.isEmpty {
                fields[fields.count - 1].body += line
                continue
            }
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let name = line[..<colon].filter { $0 > 0x20 }.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
            fields.append((String(decoding: name, as: UTF8.self), Array(line[(colon + 1)...])))
        }
        return fields
    }
}

/// Careless ways to find the address in a From field. A result counts only if it is a valid address.
enum Readers {
    static func addresses(in body: [UInt8]) -> [AddrSpec] {
        let decoded = Array(EncodedWord.decode(body[...]).utf8)
        let found =
            [body, decoded].flatMap { [lastAngle($0), firstAngle($0), withoutComments($0)] } + commaParts(body)
        return found.compactMap { $0.flatMap { try? AddrSpec(parsing: $0) } }
    }

    /// A reader that takes the text in the last angle brackets.
    private static func lastAngle(_ text: [UInt8]) -> [UInt8]? {
        guard let open = text.lastIndex(of: 0x3C) else { return nil }
        return trimmed(text[(open + 1)...].prefix { $0 != 0x3E })
    }

    /// A reader that takes the text in the first angle brackets and does not support quotes.
    private static func firstAngle(_ text: [UInt8]) -> [UInt8]? {
        guard let open = text.firstIndex(of: 0x3C) else { return nil }
        return trimmed(text[(open + 1)...].prefix { $0 != 0x3E })
    }

    /// A reader that removes comments everywhere and takes the rest.
    private static func withoutComments(_ text: [UInt8]) -> [UInt8]? {
        var depth = 0
        var rest: [UInt8] = []
        for byte in text {
            if byte == 0x28 {
                depth += 1
            } else if byte == 0x29 {
                depth = max(0, depth - 1)
            } else if depth == 0 {
                rest.append(byte)
            }
        }
        return lastAngle(rest) ?? trimmed(rest[...])
    }

    /// A reader that splits at commas first.
    private static func commaParts(_ text: [UInt8]) -> [[UInt8]?] {
        text.split(separator: 0x2C).map { lastAngle(Array($0)) ?? trimmed($0) }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var text = text
        while let first = text.first, first <= 0x20 { text.removeFirst() }
        while let last = text.last, last <= 0x20 { text.removeLast() }
        return Array(text)
    }
}
