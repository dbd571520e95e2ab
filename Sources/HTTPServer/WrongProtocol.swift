/// What a client speaks on a clear listener in place of HTTP/1.1.
enum WrongProtocol: String, Hashable, Sendable {
    case tls
    case proxyHeader = "proxy-header"

    /// What the first octets of a connection begin; nil where that may be HTTP.
    init?(firstOctets octets: some Collection<UInt8>) {
        if octets.first == WrongProtocol.handshake {
            self = .tls
        } else if octets.starts(with: WrongProtocol.line) || octets.starts(with: WrongProtocol.signature) {
            self = .proxyHeader
        } else {
            return nil
        }
    }

    /// The content type of a TLS record that holds a ClientHello (RFC 8446 section 5.1).
    private static let handshake: UInt8 = 0x16
    /// Of version 1 of the PROXY protocol (section 2.1).
    private static let line = Array("PROXY ".utf8)
    /// Of version 2 of the PROXY protocol (section 2.2).
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// What came, for the log.
    var error: String {
        switch self {
        case .tls: "the client speaks TLS"
        case .proxyHeader: "the connection begins with a PROXY header"
        }
    }

    /// What an operator can change, for the log.
    var remedy: String {
        switch self {
        case .tls: "this port takes clear HTTP; use http://, or an https listener"
        case .proxyHeader:
            "this listener takes no PROXY header; use https+proxy:// or http+proxy:// in http.listen"
        }
    }
}
