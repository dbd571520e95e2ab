/// A protocol other than HTTP/1.1 that a client uses on a listener without TLS.
enum WrongProtocol: String, Hashable, Sendable {
    case tls
    case proxyHeader = "proxy-header"

    /// The protocol that begins with these first octets of a connection; nil if it may be HTTP.
    init?(firstOctets octets: some Collection<UInt8>) {
        if octets.first == WrongProtocol.handshake {
            self = .tls
        } else if octets.starts(with: WrongProtocol.line) || octets.starts(with: WrongProtocol.signature) {
            self = .proxyHeader
        } else {
            return nil
        }
    }

    /// The content type of a TLS record with a ClientHello (RFC 8446 section 5.1).
    private static let handshake: UInt8 = 0x16
    /// The beginning of version 1 of the PROXY protocol (section 2.1).
    private static let line = Array("PROXY ".utf8)
    /// The beginning of version 2 of the PROXY protocol (section 2.2).
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// What was received, for the log.
    var error: String {
        switch self {
        case .tls: "the client speaks TLS"
        case .proxyHeader: "the connection begins with a PROXY header"
        }
    }

    /// What an operator can change, for the log.
    var remedy: String {
        switch self {
        case .tls: "this port expects HTTP without TLS; use http://, or an https listener"
        case .proxyHeader:
            "this listener expects no PROXY header; use https+proxy:// or http+proxy:// in http.listen"
        }
    }
}
