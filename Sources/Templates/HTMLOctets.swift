/// How the tokenizer of HTML classifies octets.
enum HTMLOctets {
    static func isLetter(_ octet: UInt8) -> Bool { (0x61...0x7A).contains(octet | 0x20) }

    static func isBlank(_ octet: UInt8) -> Bool {
        octet == 0x20 || octet == 0x0A || octet == 0x09 || octet == 0x0C || octet == 0x0D
    }

    /// Whether the octet ends the name of a tag or of an attribute.
    static func endsName(_ octet: UInt8) -> Bool {
        isBlank(octet) || octet == UInt8(ascii: "/") || octet == UInt8(ascii: ">")
    }

    static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5A).contains(octet) ? octet | 0x20 : octet }

    /// The name in lower case. Empty for a name over 64 octets, because no name that has a meaning here is so long.
    static func lowercased(_ name: ArraySlice<UInt8>) -> String {
        name.count > 64 ? "" : String(decoding: name.map(lowercased), as: UTF8.self)
    }

    /// Whether the text ends with a possible beginning of an end tag: `<`, `</`, `</ti`.
    static func endsInTagName(_ text: ArraySlice<UInt8>) -> Bool {
        for octet in text.suffix(20).reversed() {
            if octet == UInt8(ascii: "<") { return true }
            guard isLetter(octet) || octet == UInt8(ascii: "/") else { return false }
        }
        return false
    }

    /// Whether the text contains a `<` that may begin a tag, a comment or a declaration.
    static func holdsMarkup(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while let found = rest.firstIndex(of: UInt8(ascii: "<")) {
            rest = rest[(found + 1)...]
            guard let next = rest.first else { return true }
            if isLetter(next) || "/!?".utf8.contains(next) { return true }
        }
        return false
    }

    /// Whether `text` contains the octets of `needle`.
    static func holds(_ needle: StaticString, in text: ArraySlice<UInt8>) -> Bool {
        needle.withUTF8Buffer { needle in
            guard let first = needle.first else { return true }
            var rest = text
            while let found = rest.firstIndex(of: first) {
                if rest[found...].starts(with: needle) { return true }
                rest = rest[(found + 1)...]
            }
            return false
        }
    }
}
