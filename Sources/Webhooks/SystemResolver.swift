import NIOPosix
import RelayCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The system's resolver, on threads of its own: it blocks, for as long as its configuration says, and can't be interrupted.
///
/// A name that is asked for is looked up once at a time, however many ask. So names whose servers don't answer occupy a thread each,
/// and no more.
final class SystemResolver: AddressResolver {
    typealias Answer = Result<[IPAddress], ResolverFailure>

    private struct Waiter {
        var continuation: CheckedContinuation<Answer, Never>
        var timer: Task<Void, Never>?
    }

    private struct State {
        /// By name; a name stands here while it is looked up, though nobody may wait for it any more.
        var waiting: [String: [Int: Waiter]] = [:]
        var count = 0
    }

    private let clock: any RelayClock
    private let pool: NIOThreadPool
    private let lookUp: @Sendable (String) -> Answer
    private let state = Mutex(State())

    /// - Parameter lookUp: may block.
    init(
        clock: any RelayClock, threads: Int = SystemResolver.threads,
        lookUp: @escaping @Sendable (String) -> Answer = SystemResolver.lookUp
    ) {
        self.clock = clock
        self.lookUp = lookUp
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    static let threads = 16
    /// Of one name; more are left out.
    static let mostAddresses = 16

    func addresses(of name: String, within time: Duration) async -> Answer {
        let deadline = clock.now() + time
        return await withCheckedContinuation { continuation in
            let (number, isFirst) = state.withLock { state in
                state.count += 1
                let isFirst = state.waiting[name] == nil
                state.waiting[name, default: [:]][state.count] = Waiter(continuation: continuation)
                return (state.count, isFirst)
            }
            if isFirst { begin(name) }
            let timer = Task {
                do { try await clock.sleep(until: deadline) } catch { return }
                let waiter = state.withLock { $0.waiting[name]?.removeValue(forKey: number) }
                waiter?.continuation.resume(
                    returning: .failure(ResolverFailure(reason: "the look-up of \(name) took too long")))
            }
            let isOver = state.withLock { state in
                state.waiting[name]?[number]?.timer = timer
                return state.waiting[name]?[number] == nil
            }
            if isOver { timer.cancel() }
        }
    }

    private func begin(_ name: String) {
        pool.submit { [self] poolState in
            let answer: Answer =
                poolState == .active
                ? lookUp(name) : .failure(ResolverFailure(reason: "the relay is stopping"))
            let waiters = state.withLock { $0.waiting.removeValue(forKey: name) }
            for waiter in (waiters ?? [:]).values {
                waiter.timer?.cancel()
                waiter.continuation.resume(returning: answer)
            }
        }
    }

    /// What has begun ends by itself.
    func shutdown() { pool.shutdownGracefully { _ in } }

    static let lookUp: @Sendable (String) -> Answer = { name in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        // Only kinds of address that this machine has itself.
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
