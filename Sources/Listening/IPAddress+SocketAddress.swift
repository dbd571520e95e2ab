import NIOCore
import RelayCore

extension IPAddress {
    /// Returns nil for a Unix domain socket.
    public init?(_ address: SocketAddress) {
        // After family and port, an IPv4 address follows at once. An IPv6 address follows after four octets of flow
        // label (RFC 3493).
        let (offset, length): (Int, Int)
        switch address {
        case .v4: (offset, length) = (4, 4)
        case .v6: (offset, length) = (8, 16)
        case .unixDomainSocket: return nil
        }
        let bytes = address.withSockAddr { pointer, size in
            Array(UnsafeRawBufferPointer(start: pointer, count: size).dropFirst(offset).prefix(length))
        }
        self.init(bytes: bytes)
    }
}
