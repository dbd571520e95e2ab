import NIOCore
private import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Makes text from outside safe for a record or a log.
package enum ForeignText {
    /// Returns the text with at most `limit` Unicode scalars. Each character that is not visible text, such as a
    /// control character or a line end, becomes a space.
    package static func bounded(_ text: some StringProtocol, _ limit: Int) -> String {
        if text.isEmpty { return "" }
        // Scalars are counted and not characters, because one character may contain any number of scalars.
        let scalars = text.unicodeScalars.prefix(limit + 1).map { isPlain($0) ? $0 : " " }
        guard scalars.count > limit else { return String(String.UnicodeScalarView(scalars)) }
        return String(String.UnicodeScalarView(scalars.prefix(limit - 1))) + "…"
    }

    /// Returns `text` with each occurrence of a secret replaced.
    package static func withholding(_ secrets: [String], in text: String) -> String {
        text.isEmpty
            ? text
            : secrets.reduce(text) { text, secret in
                var parts: [Substring] = []
                var rest = text[...]
                while let range = rest.firstRange(of: secret) {
                    parts.append(rest[..<range.lowerBound])
                    rest = rest[range.upperBound...]
                }
                return parts.isEmpty ? text : (parts + [rest]).joined(separator: "[withheld]")
            }
    }

    /// Finds BoringSSL's word for the error (`CERTIFICATE_VERIFY_FAILED`) in an error's description, which also names
    /// BoringSSL's source file. Nil for other errors.
    package static func tlsReason(in description: String) -> String? {
        let mark = "OPENSSL_internal:"
        guard let start = description.firstRange(of: mark)?.upperBound else { return nil }
        let word = description[start...].prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        return word.isEmpty ? nil : String(word)
    }

    /// The system's text for the error. NIO's own description ("connection reset (error set): Connection refused)
    /// (errno: 111)") names what NIO was doing, which often is not what failed.
    private static func reason(_ error: IOError) -> String { String(cString: strerror(error.errnoCode)) }

    /// Why a connection failed. Nil for errors of another kind.
    package static func connectionFailure(_ error: any Error) -> String? {
        switch error {
        case let error as IOError: reason(error)
        case let error as NIOConnectionError: reason(error)
        default: nil
        }
    }

    /// Why there is no connection, for each address that was tried.
    private static func reason(_ error: NIOConnectionError) -> String {
        let failures = error.connectionErrors.map { failure in
            let address = failure.target.ipAddress ?? failure.target.pathname ?? error.host
            return "\(address): " + ((failure.error as? IOError).map(reason) ?? "\(failure.error)")
        }
        guard failures.isEmpty else { return failures.joined(separator: ", ") }
        return (error.dnsAError ?? error.dnsAAAAError).map { "no address of \(error.host) is known: \($0)" }
            ?? "no connection to \(error.host)"
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
