import AWSClient

/// The settings for calls to SES.
public struct SESConfiguration: Sendable {
    /// The AWS region, such as `eu-west-1`.
    public let region: String
    let endpoint: AWSEndpoint
    /// The configuration set that each request names, or nil.
    public let configurationSet: String?
    /// The number of connections, and so of concurrent requests. A further request waits for a free connection, and its
    /// time runs meanwhile.
    public let concurrency: Int
    /// The time for connecting, for sending a small message and for its answer. Larger messages get more time, by
    /// `slowestUpload`.
    public let requestTimeout: Duration
    /// The time for establishing a connection, TLS included.
    public let connectTimeout: Duration

    /// Below this rate, in bytes per second, an upload is given up.
    static let slowestUpload = 128 * 1024

    /// `endpoint` is `https://` or `http://` with a host, to use instead of AWS's own endpoint. http is for test
    /// servers on a trusted network.
    public init(
        region: String, endpoint: String? = nil, configurationSet: String? = nil, concurrency: Int = 16,
        requestTimeout: Duration = .seconds(60), connectTimeout: Duration = .seconds(10)
    ) throws(SESConfigurationError) {
        guard SESConfiguration.isRegion(region) else { throw .region }
        if let configurationSet, !SESConfiguration.isConfigurationSet(configurationSet) { throw .configurationSet }
        self.region = region
        do {
            self.endpoint = try AWSEndpoint(parsing: endpoint ?? "https://email.\(region).amazonaws.com")
        } catch {
            throw .endpoint(error.reason)
        }
        self.configurationSet = configurationSet
        self.concurrency = max(1, concurrency)
        self.requestTimeout = requestTimeout
        self.connectTimeout = connectTimeout
    }

    func timeout(forLength length: Int) -> Duration {
        requestTimeout + .seconds(length / SESConfiguration.slowestUpload)
    }

    /// Whether the text has the form of a region. It becomes part of a host name.
    private static func isRegion(_ text: String) -> Bool {
        1...63 ~= text.utf8.count && text.first != "-" && text.last != "-"
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    private static func isConfigurationSet(_ text: String) -> Bool {
        1...64 ~= text.utf8.count
            && text.utf8.allSatisfy { $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || isAlphanumeric($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

/// A setting with an impossible value. The text begins with the setting's name.
public enum SESConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    case region
    case endpoint(String)
    case configurationSet

    public var description: String {
        switch self {
        case .region: "ses.region is not an AWS region: write it like 'eu-west-1'"
        case .endpoint(let why): "ses.endpoint \(why): write it like 'https://email.eu-west-1.amazonaws.com'"
        case .configurationSet:
            "ses.configuration_set must have at most 64 characters, and only letters, digits, '-' and '_'"
        }
    }
}
