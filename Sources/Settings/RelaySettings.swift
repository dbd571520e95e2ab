import InternetMessage
import RelayCore

/// All settings. The initial values are the defaults. ``Setting/defaultText`` is made from them, so a row
/// of ``reference`` does not repeat its default. (`etc/relay.yaml` does: a test compares it.)
public struct RelaySettings: Sendable, Equatable {
    /// The relay's own name, used in the greeting and in the trace field.
    public var hostname = HostName.ofThisMachine()
    /// The relay's database. For an SQLite database, large bodies go into a directory beside its file.
    public var database = DatabaseLocation.sqlite(standardDirectory + "/relay.db")
    /// Whether PostgreSQL must have a synchronous standby. `required` is a mistake with an SQLite database.
    public var databaseReplica = DatabaseReplica.none
    /// Where SMTP clients connect: 1 to 32 places. Changes take effect at a restart.
    public var listen: [Listener] = [
        .address(.startTLS, host: "0.0.0.0", port: 587), .address(.implicitTLS, host: "0.0.0.0", port: 465),
    ]
    /// Load balancers whose PROXY headers are accepted.
    public var proxyNetworks: [NetworkBlock] = []
    /// The section `http`: where the HTTP API listens, and which proxies it trusts.
    public var http = HTTP()
    /// The section `tls`: the certificates, keys and TLS versions of the SMTP and HTTP listeners.
    public var tls = TLS()
    /// The section `submission`: the limits and rules for clients that send mail.
    public var submission = Submission()
    /// The section `ses`: the region, rate and credentials for live mail.
    public var ses = SES()
    /// The section `feedback`: the SQS queue with SES's events about live messages.
    public var feedback = Feedback()
    /// The section `bounces`: the failure reports that go to the envelope senders of messages.
    public var bounces = Bounces()
    /// The section `delivery`: the pauses between attempts, and when a delivery is given up.
    public var delivery = Delivery()
    /// The section `retention`: how long messages are kept after they have ended, which depends on how they ended.
    public var retention = Retention()
    /// The limits of disk space, in octets, from the section `storage` and `retention.simulated_size`.
    public var storage = StoragePolicy()
    /// The section `log`: the level and format of log lines.
    public var log = Log()
    /// The section `webhooks`: the networks that webhooks may reach although they are not public.
    public var webhooks = Webhooks()
    /// The section `metrics`: where metrics and health are available. By default, nowhere.
    public var metrics = Metrics()
    /// The section `admin`: where the operator's page is available. By default, nowhere.
    public var admin = Admin()

    /// Makes the defaults.
    public init() {}

    private static let standardDirectory = "/var/lib/hiveku-relay"

    /// The directory that the relay may write to, and whose owner is the relay's user. It is the directory of the
    /// database's file, or of the default file if the database is on a server.
    public var stateDirectory: String {
        guard let file = database.file else { return RelaySettings.standardDirectory }
        guard let end = file.lastIndex(of: "/") else { return "." }
        return end == file.startIndex ? "/" : String(file[..<end])
    }

    /// Whether a database server must have a synchronous standby.
    public enum DatabaseReplica: String, CaseIterable, Hashable, Sendable {
        /// Not required. Mail is acknowledged when the primary has stored it. If the server's commits wait for a
        /// standby, mail is acknowledged only when the standby has stored it too.
        case none
        /// Required. Without a synchronous standby, no mail is acknowledged.
        case required
    }

    /// A place to listen on. Port 0 means any free port.
    public enum Listener: Hashable, Sendable {
        /// `proxy`: each connection must begin with a PROXY header.
        case address(Security, host: String, port: Int, proxy: Bool = false)
        /// The sockets that systemd has bound and passed on. Their names distinguish them: the schemes of listeners,
        /// such as `smtps` and `smtp+proxy`.
        case inheritedSockets

        /// Whether each connection must begin with a PROXY header. False for inherited sockets, whose names decide.
        public var takesProxyHeader: Bool {
            if case .address(_, _, _, let proxy) = self { proxy } else { false }
        }

        /// Whether TLS begins with STARTTLS or with the connection. The raw values are the schemes of listeners.
        public enum Security: String, CaseIterable, Hashable, Sendable {
            /// STARTTLS (RFC 3207).
            case startTLS = "smtp"
            /// TLS from the first octet (RFC 8314).
            case implicitTLS = "smtps"
        }
    }

    /// The HTTP API.
    public struct HTTP: Hashable, Sendable {
        /// If empty, the HTTP API is off.
        public var listen: [Listener] = []
        /// Networks that may use HTTP without TLS, and whose `X-Forwarded-For` is trusted.
        public var trustedProxies: [NetworkBlock] = []

        /// A place to listen on. Port 0 means any free port.
        public enum Listener: Hashable, Sendable {
            /// `proxy`: each connection must begin with a PROXY header.
            case address(Security, host: String, port: Int, proxy: Bool = false)
            /// The file of a Unix socket, which accepts HTTP without TLS.
            case unix(path: String)
            /// The sockets that systemd has bound and passed on. Their names distinguish them: the schemes of
            /// listeners, such as `https` and `https+proxy`.
            case inheritedSockets

            /// Whether each connection must begin with a PROXY header. False for inherited sockets, whose names decide.
            public var takesProxyHeader: Bool {
                if case .address(_, _, _, let proxy) = self { proxy } else { false }
            }

            /// Whether the listener uses TLS. The raw values are the schemes of listeners.
            public enum Security: String, CaseIterable, Hashable, Sendable {
                case https
                /// Without TLS.
                case http
            }
        }
    }

    /// Certificates and keys are matched by their order. There can be several, to offer both RSA and ECDSA.
    public struct TLS: Hashable, Sendable {
        /// Paths of PEM files, each a certificate with its chain.
        public var certificates: [String] = []
        /// Paths of PEM files.
        public var privateKeys: [String] = []
        /// The oldest TLS version that is allowed.
        public var minimumVersion = Version.tls12
        /// Which TLS 1.2 cipher suites are allowed.
        public var compatibility = Compatibility.modern

        /// A TLS version, with its text in the settings as raw value.
        public enum Version: String, CaseIterable, Hashable, Sendable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }

        /// A set of TLS 1.2 cipher suites.
        public enum Compatibility: String, CaseIterable, Hashable, Sendable {
            /// Only suites with forward secrecy and authenticated encryption.
            case modern
            /// CBC and RSA key exchange as well.
            case oldDevices = "old-devices"
        }
    }

    /// The limits and rules for clients.
    public struct Submission: Hashable, Sendable {
        /// The largest message, in octets. In base64, 28 MiB make 39.1 MB of the 40 MB that SES accepts, which leaves
        /// room for the added fields.
        public var maximumMessageSize = 28 << 20
        /// The most recipients of one message. RFC 5321 section 4.5.3.1.8 requires at least 100.
        public var maximumRecipients = 100
        /// The most connections at a time.
        public var maximumConnections = 1000
        /// The most connections at a time from one address (IPv6: from one /64).
        public var maximumConnectionsPerClient = 100
        /// The longest time between two commands of a client. RFC 5321 section 4.5.3.2.7 requires at least 5 minutes.
        public var idleTimeout = Duration.seconds(300)
        /// The longest time from connecting to authentication.
        public var authenticationTimeout = Duration.seconds(60)
        /// How long the reply to DATA may be delayed to keep a key within its rate.
        public var maximumRateDelay = Duration.seconds(5)
        /// Clients that may authenticate without TLS.
        public var plaintextAuthenticationNetworks: [NetworkBlock] = []
        /// What to do with lines over 998 octets (RFC 5322, section 2.1.1), which SES does not accept.
        public var longLines = LongLines.fold
        /// The extensions of attached files that are refused, without the dot, in lower case.
        public var refusedAttachments = AttachmentEndings.refusedBySES
        /// Whether a Received field is added.
        public var receivedHeader = true
        /// Whether a message that a client sends again within a day is queued only once.
        public var detectsRepeats = true

        /// What to do with lines over 998 octets.
        public enum LongLines: String, CaseIterable, Hashable, Sendable {
            case fold, refuse
        }
    }

    /// How live mail is sent through SES.
    public struct SES: Hashable, Sendable {
        /// The AWS region; nil: live mail waits.
        public var region: String?
        /// A URL that replaces the region's endpoint, without a trailing slash.
        public var endpoint: String?
        /// The configuration set that messages are sent with; nil: none.
        public var configurationSet: String?
        /// The most emails per second to SES: the rate of the account's quota, or a number from 0.01 to 100,000.
        public var maximumSendRate = SendRate.automatic
        /// The most simultaneous calls to SES, and so the most connections. The live lane sends at most this many
        /// deliveries at a time.
        public var concurrency = 10
        /// The path of a file in the form of `~/.aws/credentials`.
        public var credentialsFile: String?
        /// The profile in that file.
        public var profile: String?

        /// The highest rate at which mail is sent to SES.
        public enum SendRate: Hashable, Sendable {
            /// The rate of the account's quota.
            case automatic
            /// Emails per second.
            case fixed(Double)
        }
    }

    /// The queue with SES's events about messages.
    public struct Feedback: Hashable, Sendable {
        /// The URL of an SQS queue; nil: the relay gets no events about live messages.
        public var queueURL: String?
        /// Nil: the region in ``queueURL``, or else that of SES.
        public var region: String?
        /// A URL that replaces the queue's endpoint, without a trailing slash.
        public var endpoint: String?
    }

    /// The reports of failures that senders get by mail.
    public struct Bounces: Hashable, Sendable {
        /// The sender of reports; nil: there are no reports.
        public var from: AddrSpec?
        /// Whether events from SES are also reported.
        public var forEvents = false
    }

    /// How deliveries are sent: when a delivery is attempted again, and when it is given up.
    public struct Delivery: Hashable, Sendable {
        /// The pause before the second attempt. It doubles with each further attempt.
        public var retryFirst = Duration.seconds(30)
        /// The longest pause.
        public var retryMaximum = Duration.seconds(3600)
        /// How long delivery is attempted before the message fails.
        public var giveUpAfter = Duration.seconds(48 * 3600)
    }

    /// Which log lines are written, and in which format.
    public struct Log: Hashable, Sendable {
        /// The least severe lines that are written.
        public var level = Level.info
        /// Text lines for people, or one JSON object for each line.
        public var format = Format.text

        /// The raw values are those of swift-log's levels.
        public enum Level: String, CaseIterable, Hashable, Sendable {
            case trace, debug, info, notice, warning, error, critical
        }

        /// The format of log lines.
        public enum Format: String, CaseIterable, Hashable, Sendable {
            case text, json
        }
    }

    /// The rules for webhooks.
    public struct Webhooks: Hashable, Sendable {
        /// Networks that webhooks may reach although they are not public. In them TLS is not required.
        public var privateNetworks: [NetworkBlock] = []
    }

    /// Where metrics and health are available.
    public struct Metrics: Hashable, Sendable {
        /// Nil: there are no metrics.
        public var listen: Listener?

        /// Only on this machine: any client that connects gets the metrics. Port 0 means any free port.
        public enum Listener: Hashable, Sendable {
            case loopback(IPAddress, port: Int)
            case unix(path: String)
        }
    }

    /// The operator's page.
    public struct Admin: Hashable, Sendable {
        /// Nil: there is no page.
        public var listen: Listener?

        /// Only on this machine: users of other machines connect through ssh. Port 0 means any free port.
        public enum Listener: Hashable, Sendable {
            case loopback(IPAddress, port: Int)
            case unix(path: String)
        }
    }

    /// The settings of `serve --demo`: unprivileged ports on the loopback address, and all data in `directory`.
    public static func demo(directory: String) -> RelaySettings {
        var settings = RelaySettings()
        settings.hostname = "localhost"
        settings.database = .sqlite(directory + "/relay.db")
        // The demo receives only test mail, and may run on a small disk.
        settings.storage = StoragePolicy(reserve: 16 << 20, reserveTest: 16 << 20, simulatedSize: 256 << 20)
        settings.listen = [
            .address(.startTLS, host: "127.0.0.1", port: 2587), .address(.implicitTLS, host: "127.0.0.1", port: 2465),
        ]
        settings.http.listen = [.address(.http, host: "127.0.0.1", port: 2580)]
        settings.admin.listen = IPAddress("127.0.0.1").map { .loopback($0, port: 2581) }
        // A receiver that is under development runs on the same machine.
        settings.webhooks.privateNetworks = ["127.0.0.0/8", "::1/128"].compactMap { try? NetworkBlock($0) }
        return settings
    }
}

extension RelaySettings {
    /// The region of the queue: `feedback.region`, else the region in the URL
    /// (`https://sqs.<region>.amazonaws.com/…`), else `ses.region`. Nil if there is no queue.
    public var feedbackRegion: String? {
        guard let url = feedback.queueURL else { return nil }
        return feedback.region ?? Self.region(inQueueURL: url) ?? ses.region
    }

    /// The region in a queue's URL; nil if the URL names none. Endpoints in China (`amazonaws.com.cn`) and FIPS
    /// endpoints are recognised too.
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
    /// The text in the settings.
    public var description: String {
        switch self {
        case .address(let security, let host, let port, let proxy):
            ListenerText.write(security.rawValue, host, port, proxy: proxy)
        case .inheritedSockets: "systemd"
        }
    }
}

extension RelaySettings.HTTP.Listener: CustomStringConvertible {
    /// The text in the settings.
    public var description: String {
        switch self {
        case .address(let security, let host, let port, let proxy):
            ListenerText.write(security.rawValue, host, port, proxy: proxy)
        case .unix(let path): "unix:\(path)"
        case .inheritedSockets: "systemd"
        }
    }
}

/// The text of listeners with an address: `smtp+proxy://0.0.0.0:587`.
enum ListenerText {
    /// The suffix of a scheme for listeners where each connection must begin with a PROXY header.
    static let proxySuffix = "+proxy"

    static func write(_ scheme: String, _ host: String, _ port: Int, proxy: Bool) -> String {
        "\(scheme)\(proxy ? proxySuffix : "")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}

extension RelaySettings.Metrics.Listener: CustomStringConvertible {
    /// The text in the settings.
    public var description: String {
        switch self {
        case .loopback(let address, let port): "\(address.isIPv4 ? "\(address)" : "[\(address)]"):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

extension RelaySettings.Admin.Listener: CustomStringConvertible {
    /// The text in the settings.
    public var description: String {
        switch self {
        case .loopback(let address, let port): "http://\(address.isIPv4 ? "\(address)" : "[\(address)]"):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
