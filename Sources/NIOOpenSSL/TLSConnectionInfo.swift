/// The versions of TLS that are supported. Older versions are not supported (RFC 8996).
public enum TLSVersion: String, Sendable, Hashable, Comparable, CaseIterable, CustomStringConvertible {
    case tls12 = "TLSv1.2"
    case tls13 = "TLSv1.3"

    public static func < (left: TLSVersion, right: TLSVersion) -> Bool { left == .tls12 && right == .tls13 }

    /// The name that OpenSSL and mail logs use: `TLSv1.2` or `TLSv1.3`.
    public var description: String { self.rawValue }
}

/// What client and server agreed on in a handshake.
public struct TLSConnectionInfo: Sendable, Hashable {
    /// The protocol version.
    public var version: TLSVersion
    /// OpenSSL's name of the cipher suite, such as `TLS_AES_128_GCM_SHA256` or `ECDHE-RSA-AES128-GCM-SHA256`.
    public var cipher: String
    /// Whether an earlier session was resumed with its ticket, without a signature.
    public var resumed: Bool
    /// The host name that the client asked for (RFC 6066, section 3); nil if it named none.
    public var serverName: String?
    /// The group of the key exchange, such as `x25519` or `secp256r1`. Nil for a resumption without a key exchange.
    public var group: String?

    public init(version: TLSVersion, cipher: String, resumed: Bool, serverName: String?, group: String?) {
        self.version = version
        self.cipher = cipher
        self.resumed = resumed
        self.serverName = serverName
        self.group = group
    }
}

/// The inbound user events that ``TLSServerHandler`` fires.
public enum TLSEvent: Sendable, Hashable {
    /// The handshake is complete. Everything that `channelRead` delivers afterwards was encrypted.
    case handshakeCompleted(TLSConnectionInfo)
    /// The peer sent `close_notify`, which says that it sends nothing more. So the input was not cut off.
    ///
    /// The handler does not close the channel itself, so that the application can still answer, as RFC 8446, section
    /// 6.1, allows. The application must close the channel when it has nothing more to send.
    case closeNotifyReceived
}
