import AWSClient

/// How SES is reached.
public struct SESConfiguration: Sendable {
    public let region: String
    let endpoint: AWSEndpoint
    public let configurationSet: String?
    /// Requests at a time, and so connections.
    public let concurrency: Int
    /// For connecting, sending a small message and its answer; larger ones get longer, by `slowestUpload`.
    public let requestTimeout: Duration
    public let connectTimeout: Duration

    /// Bytes a second below which an upload is given up.
    static let slowestUpload = 128 * 1024

    /// `endpoint`: `https://` or `http://` with a host, for another place than AWS's own; http is for stand-ins on a
    /// network that is trusted.
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

    /// The region becomes part of a host name.
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

/// A setting that can't be. The words complete the setting's name.
public enum SESConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    case region
    case endpoint(String)
    case configurationSet

    public var description: String {
        switch self {
        case .region: "ses.region is no AWS region: it is like 'eu-west-1'"
        case .endpoint(let why): "ses.endpoint \(why): it is like 'https://email.eu-west-1.amazonaws.com'"
        case .configurationSet:
            "ses.configuration_set holds something else than letters, digits, '-' and '_', or over 64 of them"
        }
    }
}
