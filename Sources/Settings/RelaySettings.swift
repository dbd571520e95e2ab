import InternetMessage
import RelayCore

/// Everything that an operator can set. The initial values are the defaults; ``reference`` derives their text from here.
public struct RelaySettings: Sendable, Equatable {
    /// The relay's own name: in the greeting and in the trace field.
    public var hostname = HostName.ofThisMachine()
    /// Of an SQLite database, large bodies go to a directory beside it.
    public var database = DatabaseLocation.sqlite(standardDirectory + "/relay.db")
    public var databaseReplica = DatabaseReplica.none
    public var listen: [Listener] = [
        .address(.startTLS, host: "0.0.0.0", port: 587), .address(.implicitTLS, host: "0.0.0.0", port: 465),
    ]
    /// Load balancers whose PROXY headers are taken.
    public var proxyNetworks: [NetworkBlock] = []
    public var http = HTTP()
    public var tls = TLS()
    public var submission = Submission()
    public var ses = SES()
    public var feedback = Feedback()
    public var bounces = Bounces()
    public var delivery = Delivery()
    public var retention = Retention()
    public var storage = StoragePolicy()
    public var log = Log()
    public var webhooks = Webhooks()
    public var metrics = Metrics()
    public var admin = Admin()

    /// The defaults.
    public init() {}

    private static let standardDirectory = "/var/lib/hiveku-relay"

    /// The directory that the relay may write to, and whose owner is the relay's user: that of the database's file, else the one that
    /// the file has by default.
    public var stateDirectory: String {
        guard let file = database.file else { return RelaySettings.standardDirectory }
        guard let end = file.lastIndex(of: "/") else { return "." }
        return end == file.startIndex ? "/" : String(file[..<end])
    }

    /// Whether a database server must have a synchronous standby.
    public enum DatabaseReplica: String, CaseIterable, Hashable, Sendable {
        /// It need not: mail is acknowledged once the primary has it, and a standby if there is one that commits wait for.
        case none
        /// Without one, no mail is acknowledged.
        case required
    }

    /// A place to listen at. Port 0 takes any free port.
    public enum Listener: Hashable, Sendable {
        /// `proxy`: each connection must begin with a PROXY header.
        case address(Security, host: String, port: Int, proxy: Bool = false)
        /// The sockets that systemd bound and passed on, told apart by their names: the schemes of listeners, such as `smtps` and
        /// `smtp+proxy`.
        case inheritedSockets

        /// Whether each connection must begin with a PROXY header. Of inherited sockets, their names say so.
        public var takesProxyHeader: Bool {
            if case .address(_, _, _, let proxy) = self { proxy } else { false }
        }

        public enum Security: String, CaseIterable, Hashable, Sendable {
            /// STARTTLS (RFC 3207).
            case startTLS = "smtp"
            /// TLS from the first octet (RFC 8314).
            case implicitTLS = "smtps"
        }
    }

    /// The HTTP API.
    public struct HTTP: Hashable, Sendable {
        /// None: the HTTP API is off.
        public var listen: [Listener] = []
        /// Networks that may speak HTTP in the clear, and whose `X-Forwarded-For` is believed.
        public var trustedProxies: [NetworkBlock] = []

        /// A place to listen at. Port 0 takes any free port.
        public enum Listener: Hashable, Sendable {
            /// `proxy`: each connection must begin with a PROXY header.
            case address(Security, host: String, port: Int, proxy: Bool = false)
            /// The file of a Unix socket, which takes HTTP in the clear.
            case unix(path: String)
            /// The sockets that systemd bound and passed on, told apart by their names: the schemes of listeners, such as `https`
            /// and `https+proxy`.
            case inheritedSockets

            /// Whether each connection must begin with a PROXY header. Of inherited sockets, their names say so.
            public var takesProxyHeader: Bool {
                if case .address(_, _, _, let proxy) = self { proxy } else { false }
            }

            public enum Security: String, CaseIterable, Hashable, Sendable {
                case https
                /// In the clear.
                case http
            }
        }
    }

    /// Certificates and keys belong together by their order; several, for RSA beside ECDSA.
    public struct TLS: Hashable, Sendable {
        /// Paths of PEM files, each a certificate with its chain.
        public var certificates: [String] = []
        /// Paths of PEM files.
        public var privateKeys: [String] = []
        public var minimumVersion = Version.tls12
        /// Which cipher suites of TLS 1.2 are taken.
        public var compatibility = Compatibility.modern

        public enum Version: String, CaseIterable, Hashable, Sendable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }

        public enum Compatibility: String, CaseIterable, Hashable, Sendable {
            /// With forward secrecy and authenticated encryption only.
            case modern
            /// CBC and RSA key exchange too.
            case oldDevices = "old-devices"
        }
    }

    /// What clients are held to.
    public struct Submission: Hashable, Sendable {
        /// Octets. In base64 this makes 39.1 MB of the 40 MB that SES takes, with room for the fields that are added.
        public var maximumMessageSize = 28 << 20
        /// Of one message. RFC 5321 section 4.5.3.1.8 asks for at least 100.
        public var maximumRecipients = 100
        public var maximumConnections = 1000
        public var maximumConnectionsPerClient = 100
        /// Between two commands. RFC 5321 section 4.5.3.2.7 asks for at least 5 minutes.
        public var idleTimeout = Duration.seconds(300)
        /// From connecting until authenticated.
        public var authenticationTimeout = Duration.seconds(60)
        /// How long the reply to DATA may be held back to keep a key to its rate.
        public var maximumRateDelay = Duration.seconds(5)
        /// Clients that may authenticate without TLS.
        public var plaintextAuthenticationNetworks: [NetworkBlock] = []
        public var longLines = LongLines.fold
        /// Endings of attached files' names, without dot, in lower case.
        public var refusedAttachments = AttachmentEndings.refusedBySES
        /// Whether a Received field is added.
        public var receivedHeader = true
        /// Whether a message that a client sends again within a day is queued once.
        public var detectsRepeats = true

        /// What becomes of lines over 998 octets.
        public enum LongLines: String, CaseIterable, Hashable, Sendable {
            case fold, refuse
        }
    }

    public struct SES: Hashable, Sendable {
        public var region: String?
        /// A URL in place of the region's own, without a slash at its end.
        public var endpoint: String?
        public var configurationSet: String?
        public var maximumSendRate = SendRate.automatic
        /// Calls to SES at the same time.
        public var concurrency = 10
        /// Path of a file in the form of `~/.aws/credentials`.
        public var credentialsFile: String?
        /// The profile in that file.
        public var profile: String?

        public enum SendRate: Hashable, Sendable {
            /// What the account's quota says.
            case automatic
            /// Emails per second.
            case fixed(Double)
        }
    }

    /// Where SES tells what became of messages.
    public struct Feedback: Hashable, Sendable {
        /// Of an SQS queue; nil: nothing is heard of what became of live messages.
        public var queueURL: String?
        /// Nil: the one in ``queueURL``, else that of SES.
        public var region: String?
        /// A URL in place of the queue's own, without a slash at its end.
        public var endpoint: String?
    }

    /// What the senders of messages are told by mail.
    public struct Bounces: Hashable, Sendable {
        /// From whom reports are; nil: there are none.
        public var from: AddrSpec?
        /// Whether there are reports of what SES tells, too.
        public var forEvents = false
    }

    public struct Delivery: Hashable, Sendable {
        /// The pause before the second attempt; it doubles with each further one.
        public var retryFirst = Duration.seconds(30)
        /// The longest pause.
        public var retryMaximum = Duration.seconds(3600)
        public var giveUpAfter = Duration.seconds(48 * 3600)
    }

    public struct Log: Hashable, Sendable {
        public var level = Level.info
        public var format = Format.text

        /// The raw values are those of swift-log's levels.
        public enum Level: String, CaseIterable, Hashable, Sendable {
            case trace, debug, info, notice, warning, error, critical
        }

        public enum Format: String, CaseIterable, Hashable, Sendable {
            case text, json
        }
    }

    public struct Webhooks: Hashable, Sendable {
        /// Networks that webhooks may reach although they are not public, there without TLS too.
        public var privateNetworks: [NetworkBlock] = []
    }

    public struct Metrics: Hashable, Sendable {
        /// Nil: metrics are not to be had.
        public var listen: Listener?

        /// On this machine only: what is told there is told to everyone who asks. Port 0 takes any free port.
        public enum Listener: Hashable, Sendable {
            case loopback(IPAddress, port: Int)
            case unix(path: String)
        }
    }

    /// The operator's page.
    public struct Admin: Hashable, Sendable {
        /// Nil: there is no page.
        public var listen: Listener?

        /// On this machine only: who is elsewhere comes through ssh. Port 0 takes any free port.
        public enum Listener: Hashable, Sendable {
            case loopback(IPAddress, port: Int)
            case unix(path: String)
        }
    }

    /// What `serve --demo` runs with: unprivileged ports on the loopback address, and everything it keeps in `directory`.
    public static func demo(directory: String) -> RelaySettings {
        var settings = RelaySettings()
        settings.hostname = "localhost"
        settings.database = .sqlite(directory + "/relay.db")
        // Nothing but test mail comes here, and it may be tried out on a small disk.
        settings.storage = StoragePolicy(reserve: 16 << 20, reserveTest: 16 << 20, simulatedSize: 256 << 20)
        settings.listen = [
            .address(.startTLS, host: "127.0.0.1", port: 2587), .address(.implicitTLS, host: "127.0.0.1", port: 2465),
        ]
        settings.http.listen = [.address(.http, host: "127.0.0.1", port: 2580)]
        settings.admin.listen = IPAddress("127.0.0.1").map { .loopback($0, port: 2581) }
        // A receiver that is being written runs on the same machine.
        settings.webhooks.privateNetworks = ["127.0.0.0/8", "::1/128"].compactMap { try? NetworkBlock($0) }
        return settings
    }
}

extension RelaySettings {
    /// The region of the queue: what is set, else the one in the URL (`https://sqs.<region>.amazonaws.com/…`), else that of SES. Nil where
    /// there is no queue.
    public var feedbackRegion: String? {
        guard let url = feedback.queueURL else { return nil }
        return feedback.region ?? Self.region(inQueueURL: url) ?? ses.region
    }

    /// Also in China (`amazonaws.com.cn`) and with FIPS.
    private static func region(inQueueURL url: String) -> String? {
        let host = url.split(separator: "/").dropFirst().first ?? ""
        let labels = host.lowercased().split(separator: ".")
        guard labels.count >= 4, labels[0] == "sqs" || labels[0] == "sqs-fips", labels[2] == "amazonaws" else {
            return nil
        }
        return String(labels[1])
    }
}

extension RelaySettings.Listener: CustomStringConvertible {
    /// As it is written in the settings.
    public var description: String {
        switch self {
        case .address(let security, let host, let port, let proxy):
            ListenerText.write(security.rawValue, host, port, proxy: proxy)
        case .inheritedSockets: "systemd"
        }
    }
}

extension RelaySettings.HTTP.Listener: CustomStringConvertible {
    /// As it is written in the settings.
    public var description: String {
        switch self {
        case .address(let security, let host, let port, let proxy):
            ListenerText.write(security.rawValue, host, port, proxy: proxy)
        case .unix(let path): "unix:\(path)"
        case .inheritedSockets: "systemd"
        }
    }
}

/// How listeners at an address are written: `smtp+proxy://0.0.0.0:587`.
enum ListenerText {
    /// Behind a scheme: each connection must begin with a PROXY header.
    static let proxySuffix = "+proxy"

    static func write(_ scheme: String, _ host: String, _ port: Int, proxy: Bool) -> String {
        "\(scheme)\(proxy ? proxySuffix : "")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}

extension RelaySettings.Metrics.Listener: CustomStringConvertible {
    /// As it is written in the settings.
    public var description: String {
        switch self {
        case .loopback(let address, let port): "\(address.isIPv4 ? "\(address)" : "[\(address)]"):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

extension RelaySettings.Admin.Listener: CustomStringConvertible {
    /// As it is written in the settings.
    public var description: String {
        switch self {
        case .loopback(let address, let port): "http://\(address.isIPv4 ? "\(address)" : "[\(address)]"):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
