/// Puts the images that a message's HTML shows by `cid:` (RFC 2392) into the HTML itself.
struct InlineImages {
    /// The formats that a browser shows and that can't contain scripts. SVG is not one of them.
    static let types: Set<String> = ["image/png", "image/jpeg", "image/gif", "image/webp"]

    /// A place in the HTML that names an image.
    private struct Reference {
        /// The text between the quotes.
        var value: Range<Int>
        var contentID: String
    }

    private let html: [UInt8]
    private let references: [Reference]

    init(_ html: String) {
        self.html = Array(html.utf8)
        references = Self.references(self.html)
    }

    /// Whether the HTML names no image by its Content-ID.
    var isEmpty: Bool { references.isEmpty }

    /// Replaces the references by `data:` URLs with the images that `image` returns.
    ///
    /// Such a URL has only letters, digits and `/+=:;,`, so it can't end the quoted value that contains it.
    ///
    /// - Parameter image: returns the type and the octets for a Content-ID, or nil when the reference must stay
    ///   unchanged.
    func replaced(_ image: (_ contentID: String) -> (type: String, octets: [UInt8])?) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(html.count)
        var copied = 0
        for reference in references {
            guard let (type, octets) = image(reference.contentID) else { continue }
            result += html[copied..<reference.value.lowerBound]
            result += "data:\(type);base64,".utf8
            Self.appendBase64(octets, to: &result)
            copied = reference.value.upperBound
        }
        result += html[copied...]
        return String(decoding: result, as: UTF8.self)
    }

    /// Each `src="cid:…"`, in single or double quotes, in the order of the HTML. The case of names is ignored.
    private static func references(_ html: [UInt8]) -> [Reference] {
        let name = Array("src".utf8)
        let scheme = Array("cid:".utf8)
        func isAt(_ index: Int, _ word: [UInt8]) -> Bool {
            index + word.count <= html.count
                && zip(html[index...], word).allSatisfy { $0.asciiLowercased == $1 }
        }
        func skipBlanks(_ index: inout Int) {
            while index < html.count, html[index].isFoldingWhiteSpace { index += 1 }
        }
        var references: [Reference] = []
        var index = 0
        while index < html.count {
            let start = index
            index += 1
            // The name of an attribute comes after a blank, a slash or the quote of the attribute before it.
            guard html[start] | 0x20 == name[0], isAt(start, name), start > 0, isBeforeName(html[start - 1]) else {
                continue
            }
            index = start + name.count
            skipBlanks(&index)
            guard index < html.count, html[index] == .equalsSign else { continue }
            index += 1
            skipBlanks(&index)
            guard index < html.count, html[index] == .quote || html[index] == UInt8(ascii: "'") else { continue }
            let quote = html[index]
            let value = index + 1
            index = value
            guard isAt(value, scheme) else { continue }
            guard let end = html[value...].firstIndex(of: quote) else { continue }
            references.append(
                Reference(value: value..<end, contentID: percentDecoded(html[(value + scheme.count)..<end])))
            index = end + 1
        }
        return references
    }

    private static func isBeforeName(_ byte: UInt8) -> Bool {
        byte.isFoldingWhiteSpace || byte == .quote || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "/")
    }

    /// Decodes percent-encoded text. A `cid:` URL percent-encodes some characters of the Content-ID (RFC 2392 section
    /// 2).
    private static func percentDecoded(_ text: ArraySlice<UInt8>) -> String {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: "%"), index + 2 < text.endIndex, let high = text[index + 1].hexValue,
                let low = text[index + 2].hexValue
            {
                octets.append(high << 4 | low)
                index += 3
            } else {
                octets.append(byte)
                index += 1
            }
        }
        return String(decoding: octets, as: UTF8.self)
    }

    /// Appends the base64 of `octets` (RFC 4648 section 4).
    private static func appendBase64(_ octets: [UInt8], to output: inout [UInt8]) {
        output.reserveCapacity(output.count + (octets.count + 2) / 3 * 4)
        for start in stride(from: 0, to: octets.count, by: 3) {
            let group = octets[start..<min(start + 3, octets.count)]
            var bits: UInt32 = 0
            for octet in group { bits = bits << 8 | UInt32(octet) }
            bits <<= 8 * UInt32(3 - group.count)
            for digit in 0..<4 {
                output.append(
                    digit <= group.count ? digits[Int(bits >> (18 - 6 * UInt32(digit)) & 0x3F)] : .equalsSign)
            }
        }
    }

    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}
