import Diagnosis
import NIOOpenSSL
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One short conversation with a listener of the relay, on a blocking socket. Over SMTP it goes up to the end of the
/// TLS handshake, over HTTP up to the response.
struct ListenerVisit: ~Copyable {
    /// Where to connect.
    enum Place: Sendable {
        case address(host: String, port: Int)
        case unix(path: String)
    }

    /// The protocol that is spoken there.
    enum Language: Sendable {
        case smtp(RelaySettings.Listener.Security)
        case http(RelaySettings.HTTP.Listener.Security)
    }

    private let descriptor: CInt
    private var tls: TLSProbe?
    private var pending: [UInt8] = []

    private struct Failure: Error {
        let why: String
    }

    /// - Parameters:
    ///   - balancers: the networks whose PROXY headers the listener accepts; nil if the listener needs no header. If
    ///     this machine is in one of the networks, the conversation begins with a header.
    ///   - serverName: the name to ask the server for (SNI).
    static func observation(
        at place: Place, speaking language: Language, balancers: [NetworkBlock]?, serverName: String
    ) -> ListenerObservation {
        let descriptor: CInt
        do throws(Failure) {
            descriptor =
                switch place {
                case .address(let host, let port): try connection(to: host, port)
                case .unix(let path): try connection(toUnixSocket: path)
                }
        } catch {
            return .failed(error.why)
        }
        var visit = ListenerVisit(descriptor: descriptor)
        do throws(Failure) {
            if let balancers {
                guard let own = visit.ownAddress, balancers.contains(where: { $0.contains(own) }) else {
                    return .takesBalancersOnly
                }
                // Send the header of a load balancer's own connection: version 1, without a client's address.
                try visit.say("PROXY UNKNOWN")
            }
            switch language {
            case .smtp(let security): return try visit.speakSMTP(security, serverName)
            case .http(let security): return try visit.speakHTTP(security, serverName)
            }
        } catch {
            return .mute(error.why)
        }
    }

    private mutating func speakSMTP(
        _ security: RelaySettings.Listener.Security, _ serverName: String
    ) throws(Failure) -> ListenerObservation {
        if security == .implicitTLS, let failure = startTLS(serverName) { return .tlsFailed(failure) }
        let greeting = try reply().first ?? ""
        guard greeting.hasPrefix("220 "), greeting.hasSuffix(Judge.greeting) else { return .greeted(greeting) }
        if security == .startTLS {
            try say("EHLO localhost")
            guard try reply().contains(where: { $0.dropFirst(4) == "STARTTLS" }) else { return .withoutSTARTTLS }
            try say("STARTTLS")
            let answer = try reply().first ?? ""
            guard answer.hasPrefix("220") else { return .tlsFailed(answer) }
            if let failure = startTLS(serverName) { return .tlsFailed(failure) }
        }
        // QUIT is only polite: the reply does not matter any more.
        try? say("QUIT")
        guard let tls else { return .withoutSTARTTLS }
        return .works(tls.certificate)
    }

    /// Requests the API's description, which needs no key.
    private mutating func speakHTTP(
        _ security: RelaySettings.HTTP.Listener.Security, _ serverName: String
    ) throws(Failure) -> ListenerObservation {
        if security == .https, let failure = startTLS(serverName) { return .tlsFailed(failure) }
        try say("GET /v1/openapi.json HTTP/1.1\r\nHost: \(serverName)\r\nConnection: close\r\n")
        let status = try line()
        guard status.hasPrefix("HTTP/1.1 200") else { return .greeted(status) }
        return tls.map { .works($0.certificate) } ?? .worksInClear
    }

    /// Starts TLS. Returns the reason if that fails; nil if it worked.
    private mutating func startTLS(_ serverName: String) -> String? {
        do throws(TLSError) {
            tls = try TLSProbe(descriptor: descriptor, serverName: serverName)
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: Lines

    /// The lines of one reply (RFC 5321 section 4.2.1), without their line ends.
    private mutating func reply() throws(Failure) -> [String] {
        var lines: [String] = []
        while lines.count < 100 {
            let line = try line()
            lines.append(line)
            if line.utf8.dropFirst(3).first != UInt8(ascii: "-") { return lines }
        }
        throw Failure(why: "its reply has no end")
    }

    private mutating func line() throws(Failure) -> String {
        while true {
            if let end = pending.firstIndex(of: 0x0A) {
                let line = pending[..<end].filter { $0 != 0x0D }
                pending.removeSubrange(...end)
                return String(decoding: line, as: UTF8.self)
            }
            guard pending.count < 2_000 else { throw Failure(why: "it speaks another protocol") }
            let bytes = try receive()
            guard !bytes.isEmpty else { throw Failure(why: "it closed the connection without a reply") }
            pending += bytes
        }
    }

    private func say(_ line: String) throws(Failure) {
        let bytes = Array("\(line)\r\n".utf8)
        if let tls {
            do throws(TLSError) { try tls.write(bytes) } catch { throw Failure(why: "\(error)") }
        } else if send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) != bytes.count {
            throw ListenerVisit.systemFailure()
        }
    }

    private func receive() throws(Failure) -> [UInt8] {
        if let tls {
            do throws(TLSError) { return try tls.read(1_000) } catch { throw Failure(why: "\(error)") }
        }
        var bytes = [UInt8](repeating: 0, count: 1_000)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw ListenerVisit.systemFailure() }
        return Array(bytes.prefix(count))
    }

    // MARK: The socket

    private init(descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private static func connection(to host: String, _ port: Int) throws(Failure) -> CInt {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(reachable(host), String(port), &hints, &first)
        guard status == 0, let address = first?.pointee else {
            throw Failure(why: "\(host): \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(first) }
        let descriptor = socket(address.ai_family, address.ai_socktype | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemFailure() }
        setPatience(descriptor)
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let failure = systemFailure()
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    private static func connection(toUnixSocket path: String) throws(Failure) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Failure(why: String(cString: strerror(ENAMETOOLONG)))
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemFailure() }
        setPatience(descriptor)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            let failure = systemFailure()
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Sets the socket's time-outs, which also limit connecting (see socket(7)).
    private static func setPatience(_ descriptor: CInt) {
        // This tuple has the layout of a struct timeval of 5 s. The Swift type of that struct is not available in every
        // build: with the runtime linked in, the compiler believes that the type belongs to a module that cannot be
        // imported.
        var timeout: (seconds: Int, microseconds: Int) = (5, 0)
        let size = socklen_t(MemoryLayout.size(ofValue: timeout))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    }

    /// The address that the relay sees as the client's: the local end of the connection.
    private var ownAddress: IPAddress? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                getsockname(descriptor, pointer, &length) == 0
                    ? getnameinfo(pointer, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) : -1
            }
        }
        guard status == 0 else { return nil }
        return IPAddress(String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// The host to connect to. A server that listens on all addresses can be reached on the loopback address.
    private static func reachable(_ host: String) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: host
        }
    }

    private static func systemFailure() -> Failure {
        let isLate = errno == EAGAIN || errno == EINPROGRESS
        return Failure(why: isLate ? "no answer within 5 seconds" : String(cString: strerror(errno)))
    }
}
