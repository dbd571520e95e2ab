import NIOCore
import RelayCore

extension IPAddress {
    /// Nil for a Unix domain socket.
    public init?(_ address: SocketAddress) {
        // Behind family and port stand the IPv4 address at once, the IPv6 one behind four octets of flow label (RFC 3493).
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
