/// The query of a URL as forms and HTTP libraries write it (WHATWG URL, application/x-www-form-urlencoded): `tag=a+b&limit=20`.
enum FormQuery {
    struct Malformed: Error {}

    /// Names and values in their order. A `+` is a blank; what is percent-encoded must be UTF-8.
    ///
    /// - Throws: ``Malformed`` for an escape that is none.
    static func parameters(_ query: some StringProtocol) throws(Malformed) -> [(name: String, value: String)] {
        var parameters: [(name: String, value: String)] = []
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            let name = part.prefix { $0 != UInt8(ascii: "=") }
            parameters.append((try decoded(name), try decoded(part.dropFirst(name.count + 1))))
        }
        return parameters
    }

    private static func decoded(_ text: some Sequence<UInt8>) throws(Malformed) -> String {
        var octets: [UInt8] = []
        var rest = text.makeIterator()
        while let octet = rest.next() {
            switch octet {
            case UInt8(ascii: "+"): octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else {
                    throw Malformed()
                }
                octets.append(high << 4 | low)
            default: octets.append(octet)
            }
        }
        guard let decoded = String(validating: octets, as: UTF8.self) else { throw Malformed() }
        return decoded
    }

    private static func digit(_ octet: UInt8) -> UInt8? {
        Character(Unicode.Scalar(octet)).hexDigitValue.map { UInt8($0) }
    }
}
