import RelayCore
import Resolver

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The system's resolver, on threads of its own: it blocks for as long as its configuration says, and can't be
/// interrupted.
final class SystemResolver: AddressResolver {
    typealias Answer = Result<[IPAddress], ResolverFailure>

    private let lookUps: BlockingLookUps<String, Answer>

    /// - Parameter lookUp: may block.
    init(
        clock: any RelayClock, threads: Int = SystemResolver.threads,
        lookUp: @escaping @Sendable (String) -> Answer = SystemResolver.lookUp
    ) {
        lookUps = BlockingLookUps(clock: clock, threads: threads, lookUp: lookUp)
    }

    static let threads = 16
    /// The most addresses of one name; more are left out.
    static let mostAddresses = 16

    func addresses(of name: String, within time: Duration) async -> Answer {
        switch await lookUps.answer(to: name, within: time) {
        case .success(let answer): answer
        case .failure(.timedOut): .failure(ResolverFailure(reason: "the look-up of \(name) took too long"))
        case .failure(.stopping): .failure(ResolverFailure(reason: "the relay is stopping"))
        }
    }

    /// Look-ups that have begun run to their end.
    func shutdown() { lookUps.shutdown() }

    static let lookUp: @Sendable (String) -> Answer = { name in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        // Ask only for kinds of addresses that this machine has itself.
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else {
            return .failure(
                ResolverFailure(reason: "no address of \(name) is known: \(String(cString: gai_strerror(code)))"))
        }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next?.pointee, addresses.count < mostAddresses {
            if let address = entry.ai_addr.flatMap({ IPAddress(socket: $0, family: entry.ai_family) }),
                !addresses.contains(address)
            {
                addresses.append(address)
            }
            next = entry.ai_next
        }
        return addresses.isEmpty ? .failure(ResolverFailure(reason: "\(name) has no address")) : .success(addresses)
    }
}

extension IPAddress {
    fileprivate init?(socket address: UnsafeMutablePointer<sockaddr>, family: Int32) {
        switch family {
        case AF_INET:
            let bytes = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin_addr) { Array($0) }
            }
            self.init(bytes: bytes)
        case AF_INET6:
            let bytes = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { Array($0) }
            }
            self.init(bytes: bytes)
        default: return nil
        }
    }
}
