import Diagnosis
import NIOOpenSSL
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One short conversation with an SMTP server, as far as the TLS handshake, on a socket that blocks.
struct SMTPVisit: ~Copyable {
    private let descriptor: CInt
    private var tls: TLSProbe?
    private var pending: [UInt8] = []

    private struct Failure: Error {
        let why: String
    }

    static func sighting(
        host: String, port: Int, _ security: RelaySettings.Listener.Security, serverName: String
    ) -> ListenerSighting {
        let descriptor: CInt
        do throws(Failure) {
            descriptor = try connection(to: host, port)
        } catch {
            return .failed(error.why)
        }
        var visit = SMTPVisit(descriptor: descriptor)
        do throws(Failure) {
            return try visit.look(security, serverName)
        } catch {
            return .mute(error.why)
        }
    }

    private mutating func look(
        _ security: RelaySettings.Listener.Security, _ serverName: String
    ) throws(Failure) -> ListenerSighting {
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
        // Out of politeness: what it answers does not matter any more.
        try? say("QUIT")
        guard let tls else { return .withoutSTARTTLS }
        return .works(tls.certificate)
    }

    /// Why not; nil if it worked.
    private mutating func startTLS(_ serverName: String) -> String? {
        do throws(TLSError) {
            tls = try TLSProbe(descriptor: descriptor, serverName: serverName)
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: Lines

    /// The lines of one reply (RFC 5321 section 4.2.1), without their ends.
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
            guard pending.count < 2_000 else { throw Failure(why: "it does not speak SMTP") }
            let bytes = try receive()
            guard !bytes.isEmpty else { throw Failure(why: "it ended the connection without a word") }
            pending += bytes
        }
    }

    private func say(_ line: String) throws(Failure) {
        let bytes = Array("\(line)\r\n".utf8)
        if let tls {
            do throws(TLSError) { try tls.write(bytes) } catch { throw Failure(why: "\(error)") }
        } else if send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) != bytes.count {
            throw SMTPVisit.systemFailure()
        }
    }

    private func receive() throws(Failure) -> [UInt8] {
        if let tls {
            do throws(TLSError) { return try tls.read(1_000) } catch { throw Failure(why: "\(error)") }
        }
        var bytes = [UInt8](repeating: 0, count: 1_000)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw SMTPVisit.systemFailure() }
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
        // Also for connecting, see socket(7).
        var patience = timeval()
        patience.tv_sec = 5
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let failure = systemFailure()
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Who listens on all addresses is to be found on the machine's own.
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
