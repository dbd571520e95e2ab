/// Percent-encoded octets in paths and queries (RFC 3986 section 2.1).
package enum PercentEncoding {
    /// Nil for an invalid escape, and for octets that are not UTF-8.
    ///
    /// - Parameter plusIsBlank: whether `+` is a space, as in forms; not so in paths.
    static func decoded(_ text: some Sequence<UInt8>, plusIsBlank: Bool = false) -> String? {
        var octets: [UInt8] = []
        var rest = text.makeIterator()
        while let octet = rest.next() {
            switch octet {
            case UInt8(ascii: "+") where plusIsBlank: octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else { return nil }
                octets.append(high << 4 | low)
            default: octets.append(octet)
            }
        }
        return String(validating: octets, as: UTF8.self)
    }

    /// Escapes everything except unreserved characters (RFC 3986 section 2.3).
    package static func encoded(_ octets: some Sequence<UInt8>) -> String {
        var text = ""
        for octet in octets {
            let scalar = Unicode.Scalar(octet)
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", "~": text.unicodeScalars.append(scalar)
            default:
                let digits = String(octet, radix: 16, uppercase: true)
                text += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return text
    }

    private static func digit(_ octet: UInt8) -> UInt8? {
        Character(Unicode.Scalar(octet)).hexDigitValue.map { UInt8($0) }
    }
}
