import Foundation
import Listening
import Logging
import RelayCore
import SMTPServer
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where the relay accepts connections: the listeners of the settings, with the sockets that systemd or root has bound.
struct ListenPlaces: Sendable {
    var smtp: [SMTPListener] = []
    var http: [HTTPListener] = []

    /// The listeners of the settings, with the sockets that systemd passed on.
    ///
    /// - Throws: `CommandError` if systemd passed on other sockets than the settings expect.
    init(_ settings: RelaySettings, _ manager: ServiceManager, logger: Logger) throws {
        let inherited = try manager.sockets.map(InheritedSocket.init)
        for listener in settings.listen {
            switch listener {
            case .address(let security, let host, let port, let proxy):
                smtp.append(SMTPListener(.address(host: host, port: port), .init(security), takesProxyHeader: proxy))
            case .inheritedSockets:
                let sockets = inherited.compactMap(\.listener.smtp)
                guard !sockets.isEmpty else { throw ListenPlaces.nothingPassedOn("listen", "smtp and smtps") }
                smtp += sockets
            }
        }
        for listener in settings.http.listen {
            switch listener {
            case .address(let security, let host, let port, let proxy):
                http.append(
                    HTTPListener(
                        .address(host: host, port: port), isTLS: security == .https, takesProxyHeader: proxy))
            case .unix(let path): http.append(HTTPListener(.unix(path: path), isTLS: false))
            case .inheritedSockets:
                let sockets = inherited.compactMap(\.listener.http)
                guard !sockets.isEmpty else { throw ListenPlaces.nothingPassedOn("http.listen", "https and http") }
                http += sockets
            }
        }
        try ListenPlaces.checkProxyNetworks(settings, inherited)
        // This is logged and does not stop the relay, which still serves mail. A client that connects to such a socket
        // would wait forever.
        for socket in inherited where !isUsed(socket) {
            logger.error(
                "systemd passed on a socket that no listener uses",
                metadata: [
                    "socket": "\(socket.name)",
                    "remedy":
                        "\(socket.listener.setting) must be systemd, or the socket's unit must be disabled",
                ])
        }
    }

    private init() {}

    private func isUsed(_ socket: InheritedSocket) -> Bool {
        switch socket.listener {
        case .smtp(let listener): smtp.contains(listener)
        case .http(let listener): http.contains(listener)
        }
    }

    /// Refuses a socket for PROXY headers if no networks of load balancers are set. Such a socket would be useless:
    /// every peer would be refused.
    private static func checkProxyNetworks(_ settings: RelaySettings, _ sockets: [InheritedSocket]) throws {
        guard settings.proxyNetworks.isEmpty, let socket = sockets.first(where: \.takesProxyHeader) else { return }
        throw CommandError(
            "systemd passed on a socket named \(socket.name), but proxy_networks is empty: "
                + "set it to your load balancer's addresses")
    }

    private static func nothingPassedOn(_ setting: String, _ names: String) -> CommandError {
        CommandError(
            "\(setting): systemd, but systemd passed on no sockets that are named \(names); "
                + "start the relay through its .socket units")
    }
}

/// A socket that systemd bound and passed on. Its name is the scheme of the listener that it replaces.
private struct InheritedSocket {
    enum Listener {
        case smtp(SMTPListener)
        case http(HTTPListener)

        /// The SMTP listener; nil for a socket of HTTP.
        var smtp: SMTPListener? { if case .smtp(let listener) = self { listener } else { nil } }

        /// The HTTP listener; nil for a socket of SMTP.
        var http: HTTPListener? { if case .http(let listener) = self { listener } else { nil } }

        /// The setting that names the listener.
        var setting: String {
            switch self {
            case .smtp: "listen"
            case .http: "http.listen"
            }
        }
    }

    let name: String
    let listener: Listener

    var takesProxyHeader: Bool {
        switch listener {
        case .smtp(let listener): listener.takesProxyHeader
        case .http(let listener): listener.takesProxyHeader
        }
    }

    /// - Throws: `CommandError` for a name that is not a scheme.
    init(_ socket: (descriptor: CInt, name: String)) throws {
        name = socket.name
        let suffix = "+proxy"
        let takesProxyHeader = name.hasSuffix(suffix)
        let scheme = String(takesProxyHeader ? name.dropLast(suffix.count) : name[...])
        let place = ListenPlace.descriptor(socket.descriptor)
        if let security = RelaySettings.Listener.Security(rawValue: scheme) {
            listener = .smtp(SMTPListener(place, .init(security), takesProxyHeader: takesProxyHeader))
        } else if let security = RelaySettings.HTTP.Listener.Security(rawValue: scheme) {
            listener = .http(HTTPListener(place, isTLS: security == .https, takesProxyHeader: takesProxyHeader))
        } else {
            throw CommandError(
                "systemd passed on a socket named '\(printable(name))'; FileDescriptorName= must be smtp, smtps, https or http, "
                    + "followed by +proxy for a load balancer's connections")
        }
    }
}

extension SMTPListener.Security {
    fileprivate init(_ security: RelaySettings.Listener.Security) {
        self =
            switch security {
            case .startTLS: .startTLS
            case .implicitTLS: .implicitTLS
            }
    }
}

// MARK: Sockets that root binds

extension ListenPlaces {
    /// Binds the addresses of the settings, for a relay that root starts. The relay then becomes another user, who
    /// can't bind ports below 1024. Unix sockets are bound later by that user, who must own their files.
    ///
    /// - Returns: nil if systemd has bound the sockets: the relay inherits them.
    /// - Throws: `CommandError` if an address can't be bound.
    static func bound(_ settings: RelaySettings) throws -> ListenPlaces? {
        guard !settings.listen.contains(.inheritedSockets), !settings.http.listen.contains(.inheritedSockets) else {
            return nil
        }
        var places = ListenPlaces()
        for case .address(let security, let host, let port, let proxy) in settings.listen {
            let place = ListenPlace.descriptor(try bind(host, port))
            places.smtp.append(SMTPListener(place, .init(security), takesProxyHeader: proxy))
        }
        for listener in settings.http.listen {
            switch listener {
            case .address(let security, let host, let port, let proxy):
                let place = ListenPlace.descriptor(try bind(host, port))
                places.http.append(HTTPListener(place, isTLS: security == .https, takesProxyHeader: proxy))
            case .unix(let path): places.http.append(HTTPListener(.unix(path: path), isTLS: false))
            case .inheritedSockets: break
            }
        }
        return places
    }

    private static func bind(_ host: String, _ port: Int) throws -> CInt {
        func failure(_ why: String) -> CommandError {
            CommandError("can't listen on \(ListenPlace.address(host: host, port: port)): \(why)")
        }
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var first: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &first)
        guard status == 0, let address = first?.pointee else { throw failure(String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(first) }
        let descriptor = socket(
            address.ai_family, address.ai_socktype | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw failure(String(cString: strerror(errno))) }
        var yes: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        guard systemBind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let why = String(cString: strerror(errno))
            close(descriptor)
            throw failure(why)
        }
        return descriptor
    }
}

/// Calls `bind(2)`, which the methods of the same name hide.
private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    bind(descriptor, address, length)
}
