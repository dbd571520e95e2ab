import ArgumentParser
import Listening
import RelayCore
import Settings

struct AdminCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin", abstract: "Sign in to the operator's page.",
        discussion: """
            The relay serves a page for its operator: keys, messages, queue, suppressions and webhooks. admin.listen \
            in the settings says where it listens, which is only on the gateway itself. \
            From another machine, forward the page's socket through ssh:

              ssh -N -L 8025:/run/hiveku-relay/admin.sock root@gateway.example.com

            Then run 'admin login' on the gateway, and open the link that it prints in the browser on the other machine.
            """,
        subcommands: [AdminLogin.self, AdminLogout.self])
}

struct AdminLogin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Print a link to the operator's page.",
        discussion: """
            The link works once, within 5 minutes. The browser that opens it stays signed in for 12 hours. Only the \
            link is printed on standard output.
            """)

    @Option(help: "The port, on the machine with the browser, that ssh forwards to the page's socket.") var port =
        8025
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...65_535).contains(port) else { throw ValidationError("--port must be from 1 to 65535") }
    }

    func run() async throws {
        let settings = try common.settings()
        guard let listen = settings.admin.listen else {
            printError(
                "There is no page: admin.listen is not set in \(common.path ?? "the settings, and there is no settings file; --config names one"). "
                    + "Set it to unix:/run/hiveku-relay/admin.sock, for example, and restart the relay."
            )
            throw ExitCode(78)
        }
        let store = try common.store()
        let link = try await AdminLink.make(store, now: store.commandClock.now())
        let place = AdminPlace(listen, forwardedPort: port)
        if json {
            try JSONValue.object([
                "url": .string(link.url(place.origin)), "expires_at": JSONValue(link.until),
                "listen": .string(listen.description),
            ]).print()
            return
        }
        if let socket = place.socket {
            printError("If your browser is on another machine, run this there:")
            printError("")
            printError("  ssh -N -L \(port):\(socket) \(settings.hostname)")
            printError("")
        }
        printError(
            "Then open this link in the browser. It works once, until \(brief(link.until).suffix(8).prefix(5)) UTC:")
        printError("")
        print(link.url(place.origin))
    }
}

struct AdminLogout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout", abstract: "End all sessions of the operator's page.",
        discussion: "Links that have not been used yet become invalid too.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let ended = try await store.endSessions(now: store.commandClock.now())
        printError("Ended \(counted(ended, "session", "sessions")).")
    }
}

/// A link to the operator's page.
struct AdminLink {
    let until: Timestamp
    private let secret: OperatorSecret

    /// Stores the hash of a new link, and returns the link.
    static func make(_ store: any OperatorSessionStore, now: Timestamp) async throws -> AdminLink {
        var generator = SystemRandomNumberGenerator()
        let link = AdminLink(until: now + OperatorSecret.loginLife, secret: OperatorSecret(using: &generator))
        try await store.insertLogin(link.secret.digest, until: link.until, now: now)
        return link
    }

    func url(_ origin: String) -> String { "\(origin)/login?token=\(secret.revealed)" }
}

/// How a browser reaches the operator's page.
private struct AdminPlace {
    /// The origin of the page's URLs, without a trailing slash.
    let origin: String
    /// The path of the socket that ssh forwards to; nil if the page listens on an address.
    let socket: String?

    init(_ listener: RelaySettings.Admin.Listener, forwardedPort: Int) {
        switch listener {
        case .loopback:
            origin = listener.description
            socket = nil
        case .unix(let path):
            origin = "http://127.0.0.1:\(forwardedPort)"
            socket = path
        }
    }
}

extension ListenPlace {
    init(_ listener: RelaySettings.Admin.Listener) {
        self =
            switch listener {
            case .loopback(let address, let port): .address(host: "\(address)", port: port)
            case .unix(let path): .unix(path: path)
            }
    }
}
