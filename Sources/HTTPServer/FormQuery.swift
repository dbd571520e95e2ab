/// The query of a URL as forms and HTTP libraries write it (WHATWG URL, application/x-www-form-urlencoded):
/// `tag=a+b&limit=20`.
package enum FormQuery {
    /// A percent sign without two hexadecimal digits, or octets that are not UTF-8.
    package struct Malformed: Error {}

    /// The names and values in their order. A `+` is a space. Percent-encoded octets must be UTF-8.
    ///
    /// - Throws: ``Malformed`` for an invalid escape.
    package static func parameters(_ query: some StringProtocol) throws(Malformed) -> [(name: String, value: String)] {
        var parameters: [(name: String, value: String)] = []
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            let name = part.prefix { $0 != UInt8(ascii: "=") }
            parameters.append((try decoded(name), try decoded(part.dropFirst(name.count + 1))))
        }
        return parameters
    }

    private static func decoded(_ text: some Sequence<UInt8>) throws(Malformed) -> String {
        guard let decoded = PercentEncoding.decoded(text, plusIsBlank: true) else { throw Malformed() }
        return decoded
    }
}
