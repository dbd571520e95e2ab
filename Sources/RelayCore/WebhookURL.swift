/// The URL of a webhook, parsed strictly: the URL that is called must be the one that was checked, so nothing is
/// guessed.
public struct WebhookURL: Hashable, Sendable {
    /// The schemes that a webhook's URL may have.
    public enum Scheme: String, Sendable, Hashable {
        case https, http
    }

    /// The host of a URL: a name or an address.
    public enum Host: Sendable, Hashable {
        /// A name in lower case, without a trailing dot.
        case name(String)
        case address(IPAddress)
    }

    /// What is wrong with a URL, explained to the person who typed it: the end of a sentence that begins with "the
    /// URL", without its full stop.
    public struct Mistake: Error, Hashable, Sendable {
        /// The end of a sentence that begins with "the URL", without its full stop.
        public let explanation: String
    }

    /// The scheme. Text with the scheme in upper case is accepted.
    public let scheme: Scheme
    /// The host that the relay connects to.
    public let host: Host
    /// The port. If the URL has none, it is the scheme's default port.
    public let port: Int
    /// The path and the query; begins with a slash.
    public let target: String

    /// Reads `https://example.com/events`, with an optional port and query.
    ///
    /// An IPv4 address must be four decimal numbers. Some URL libraries also read `127.1`, `0x7f000001` and
    /// `0177.0.0.1` as addresses, while others read them as names.
    ///
    /// - Throws: ``Mistake`` for a URL that is not in this form.
    public init(_ text: String) throws(Mistake) {
        guard text.utf8.count <= Webhook.longestURL else {
            throw Mistake(explanation: "is longer than \(Webhook.longestURL) octets")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Mistake(
                explanation:
                    "may contain only printable ASCII: percent-encode its path, and write its host name in A-labels (xn--)"
            )
        }
        guard let mark = text.firstRange(of: "://"),
            let scheme = Scheme(rawValue: text[..<mark.lowerBound].lowercased())
        else { throw Mistake(explanation: "must begin with https://") }
        let rest = text[mark.upperBound...]
        guard !rest.contains("#") else { throw Mistake(explanation: "must have no fragment (#)") }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else {
            throw Mistake(
                explanation: "must have no user name or password before its host; the signature identifies the caller")
        }
        let (host, port) = try WebhookURL.authority(authority)
        let target = rest[authority.endIndex...]
        guard WebhookURL.isTarget(target) else {
            throw Mistake(explanation: "has a character in its path or query that must be percent-encoded")
        }
        self.scheme = scheme
        self.host = host
        self.port = port ?? (scheme == .https ? 443 : 80)
        self.target = target.hasPrefix("/") ? String(target) : "/" + target
    }

    private static func authority(_ text: Substring) throws(Mistake) -> (Host, Int?) {
        let host: Host
        let rest: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else {
                throw Mistake(explanation: "has no ] after its IPv6 address")
            }
            let literal = text[text.index(after: text.startIndex)..<end]
            guard literal.contains(":"), let address = IPAddress(String(literal)) else {
                throw Mistake(explanation: "has no IPv6 address in its brackets")
            }
            host = .address(address)
            rest = text[text.index(after: end)...]
        } else {
            let name = text.prefix { $0 != ":" }
            host = try self.host(String(name))
            rest = text[name.endIndex...]
        }
        guard !rest.isEmpty else { return (host, nil) }
        let digits = rest.dropFirst()
        guard rest.hasPrefix(":"), digits.utf8.count <= 5, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let port = Int(digits), 1...65535 ~= port
        else { throw Mistake(explanation: "must have a port from 1 to 65535 after the colon, or no colon") }
        return (host, port)
    }

    private static func host(_ text: String) throws(Mistake) -> Host {
        guard !text.isEmpty else { throw Mistake(explanation: "has no host name") }
        if let address = IPAddress(text) { return .address(address) }
        let labels = text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= 253, labels.allSatisfy({ isLabel($0) }) else {
            throw Mistake(
                explanation:
                    "has an invalid host name: use letters, digits and hyphens, with dots between them, and no dot at the end"
            )
        }
        // Some programs read a host whose last label is a number as an IPv4 address (WHATWG URL, "ends in a number").
        if let last = labels.last?.utf8, last.allSatisfy({ 0x30...0x39 ~= $0 }) || last.starts(with: "0x".utf8) {
            throw Mistake(explanation: "has a number as its host; write an IPv4 address as four decimal numbers")
        }
        return .name(labels.joined(separator: "."))
    }

    private static func isLabel(_ label: Substring) -> Bool {
        1...63 ~= label.utf8.count && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy { octet in
                switch octet {
                case 0x30...0x39, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    /// Whether text is a path and query of RFC 3986 sections 3.3 and 3.4.
    private static func isTarget(_ text: Substring) -> Bool {
        var digitsLeft = 0
        for octet in text.utf8 {
            if digitsLeft > 0 {
                guard Character(Unicode.Scalar(octet)).isHexDigit else { return false }
                digitsLeft -= 1
                continue
            }
            switch octet {
            case UInt8(ascii: "%"): digitsLeft = 2
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: break
            default: guard targetMarks.contains(octet) else { return false }
            }
        }
        return digitsLeft == 0
    }

    private static let targetMarks = Set("-._~!$&'()*+,;=:@/?".utf8)

    /// The host as written in a URL and in the Host field.
    public var hostText: String {
        switch host {
        case .name(let name): name
        case .address(let address): address.isIPv4 ? "\(address)" : "[\(address)]"
        }
    }

    /// The URL without its path and query, which contain a secret for some services.
    public var origin: String {
        let isDefault = port == (scheme == .https ? 443 : 80)
        return "\(scheme.rawValue)://\(hostText)\(isDefault ? "" : ":\(port)")"
    }

    /// The whole URL.
    public var text: String { origin + target }
}
