import Diagnosis
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Looks up the relay's own host name.
enum HostNameCheck {
    static func look(at name: String) async -> Finding {
        let resolution = await within(Doctor.timeout) { await onOwnThread { resolve(name) } }
        let late = Resolution.failed("no answer within \(Doctor.timeout.components.seconds) seconds")
        return Judge.hostname(name, resolution ?? late, own: ownAddresses())
    }

    private static func resolve(_ name: String) -> Resolution {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &first)
        guard status == 0 else { return .failed(String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(first) }
        var addresses: [IPAddress] = []
        for entry in sequence(first: first, next: { $0?.pointee.ai_next }) {
            guard let address = entry?.pointee.ai_addr.flatMap({ IPAddress($0) }), !addresses.contains(address) else {
                continue
            }
            addresses.append(address)
        }
        return .addresses(addresses)
    }

    private static func ownAddresses() -> [IPAddress] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        return sequence(first: first, next: { $0?.pointee.ifa_next }).compactMap { entry in
            entry?.pointee.ifa_addr.flatMap { IPAddress($0) }
        }
    }
}

extension IPAddress {
    /// Nil for addresses of other families than IPv4 and IPv6.
    fileprivate init?(_ address: UnsafeMutablePointer<sockaddr>) {
        switch CInt(address.pointee.sa_family) {
        case AF_INET:
            // The family says which structure the memory holds.
            let four = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
            self.init(bytes: withUnsafeBytes(of: four.sin_addr) { Array($0) })
        case AF_INET6:
            let six = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in6.self)
            self.init(bytes: withUnsafeBytes(of: six.sin6_addr) { Array($0) })
        default: return nil
        }
    }
}
