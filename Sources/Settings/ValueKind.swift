import InternetMessage
import RelayCore

/// The error for a written value that is refused. `reason` is nil when the kind's `expectation`
/// explains the refusal well enough, as for a wrong form or a number out of range.
struct ValueError: Error {
    var reason: String?
    /// Whether the written value may hold a secret.
    var hidesText = false

    init(_ reason: String? = nil, hidesText: Bool = false) {
        self.reason = reason
        self.hidesText = hidesText
    }
}

/// A kind of value: what is accepted, and how it is read and written.
struct ValueKind<Value: Sendable>: Sendable {
    /// The accepted values, as the text after "must be".
    let expectation: String
    /// Whether an empty value means the default. This is so if the default is nil or depends on the machine.
    var acceptsEmpty = false
    let parse: @Sendable (String) throws(ValueError) -> Value
    let write: @Sendable (Value) -> String

    /// The value that `text` stands for. Throws for an empty text. If the kind has ``acceptsEmpty``, the caller handles
    /// an empty text first.
    func read(_ text: String) throws(ValueError) -> Value {
        guard !text.isEmpty else { throw ValueError() }
        return try parse(text)
    }

    /// The kind of a setting whose default is nil.
    static func optional<Wrapped>(_ kind: ValueKind<Wrapped>) -> ValueKind where Value == Wrapped? {
        ValueKind(
            expectation: kind.expectation, acceptsEmpty: true,
            parse: { text throws(ValueError) in try kind.parse(text) },
            write: { $0.map(kind.write) ?? "" })
    }
}

/// The number, if it is in `range`.
private func bounded<Number: Comparable>(_ number: Number?, _ range: ClosedRange<Number>) throws(ValueError) -> Number {
    guard let number, range.contains(number) else { throw ValueError() }
    return number
}

extension ValueKind where Value == Int {
    static func wholeNumber(_ range: ClosedRange<Int>) -> ValueKind {
        ValueKind(
            expectation: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            parse: { text throws(ValueError) in
                guard text.utf8.count <= 18, text.utf8.allSatisfy(isDigit) else { throw ValueError() }
                return try bounded(Int(text), range)
            },
            write: { "\($0)" })
    }

    static func size(_ range: ClosedRange<Int>) -> ValueKind {
        let bounds = "\(ByteSize.write(range.lowerBound)) to \(ByteSize.write(range.upperBound))"
        return ValueKind(
            expectation: "a size from \(bounds), such as 10 MB or 10 MiB",
            parse: { text throws(ValueError) in try bounded(ByteSize.parse(text), range) },
            write: ByteSize.write)
    }
}

extension ValueKind where Value == Duration {
    static func duration(_ lowest: Duration, _ highest: Duration) -> ValueKind {
        ValueKind(
            expectation: "a time from \(lowest.written) to \(highest.written), with its unit (ms, s, m, h or d)",
            parse: { text throws(ValueError) in try bounded(Duration(written: text), lowest...highest) },
            write: \.written)
    }
}

extension ValueKind where Value == Bool {
    static var truth: ValueKind {
        ValueKind(
            expectation: "true or false",
            parse: { text throws(ValueError) in
                switch text.lowercased() {
                // The truth values of YAML 1.1.
                case "true", "yes", "on": return true
                case "false", "no", "off": return false
                default: throw ValueError()
                }
            },
            write: { "\($0)" })
    }
}

extension ValueKind
where Value: CaseIterable & RawRepresentable, Value.RawValue == String, Value.AllCases: RandomAccessCollection {
    /// One of the words for the cases, all in lower case.
    static var word: ValueKind {
        let words = Value.allCases.map(\.rawValue)
        return ValueKind(
            expectation: words.dropLast().joined(separator: ", ") + " or " + (words.last ?? ""),
            parse: { text throws(ValueError) in
                guard let value = Value(rawValue: text.lowercased()) else { throw ValueError() }
                return value
            },
            write: \.rawValue)
    }
}

extension ValueKind where Value == RelaySettings.SES.SendRate {
    static func sendRate(_ range: ClosedRange<Double>) -> ValueKind {
        ValueKind(
            expectation: "auto, or emails per second from \(plain(range.lowerBound)) to \(plain(range.upperBound))",
            parse: { text throws(ValueError) in
                if text == "auto" { return .automatic }
                // Double's own parser would also accept hexadecimal, exponents, "inf" and "nan".
                guard text.utf8.count <= 18, text.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }) else {
                    throw ValueError()
                }
                return .fixed(try bounded(Double(text), range))
            },
            write: {
                switch $0 {
                case .automatic: "auto"
                case .fixed(let rate): plain(rate)
                }
            })
    }

    private static func plain(_ number: Double) -> String {
        number == number.rounded() ? "\(Int(number))" : "\(number)"
    }
}

extension ValueKind where Value == NetworkBlock {
    static var network: ValueKind {
        ValueKind(
            expectation: "an IP address or CIDR block such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
            parse: { text throws(ValueError) in
                guard IPAddress(String(text.prefix { $0 != "/" })) != nil else { throw ValueError() }
                do throws(NetworkBlock.ParseError) {
                    return try NetworkBlock(text)
                } catch {
                    throw ValueError(error.description)
                }
            },
            write: \.description)
    }
}

extension ValueKind where Value == String {
    /// A text that `isValid` accepts, kept unchanged. A secret that was pasted into the wrong line would appear in logs
    /// and errors and be sent to AWS, so it is refused here.
    private static func text(_ expectation: String, _ isValid: @escaping @Sendable (String) -> Bool) -> ValueKind {
        ValueKind(
            expectation: expectation,
            parse: { text throws(ValueError) in
                guard isValid(text), !LikelySecret.isIn(text) else { throw ValueError() }
                return text
            },
            write: { $0 })
    }

    static var hostName: ValueKind {
        var kind = text("a host name such as relay.example.com", HostName.isValid)
        kind.acceptsEmpty = true
        return kind
    }

    /// Only the form of the path is checked: the part that uses the file finds out whether it exists and can be read.
    static var path: ValueKind {
        ValueKind(
            expectation: "the path of a file",
            parse: { text throws(ValueError) in
                guard !text.contains("-----BEGIN") else { throw ValueError("give the file's name, not its content") }
                // Parts of a path may look random like a secret. The beginning of a path shows that it is not one.
                guard text.hasPrefix("/") || text.hasPrefix(".") || !LikelySecret.isIn(text) else { throw ValueError() }
                let isPrintable = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
                guard isPrintable, text.utf8.count < 4096, !text.hasSuffix("/") else { throw ValueError() }
                return text
            },
            write: { $0 })
    }

    /// The text becomes part of a host name, so only a region's form is allowed.
    static var region: ValueKind {
        text("an AWS region such as eu-central-1") { text in
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            return parts.count >= 3 && text.utf8.count <= 32 && parts.last?.utf8.allSatisfy(isDigit) == true
                && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { isDigit($0) || isLetter($0) && $0 >= 0x60 } }
        }
    }

    /// The form that SES requires.
    static var configurationSet: ValueKind {
        text("a name of up to 64 letters, digits, hyphens and underscores") { text in
            text.utf8.count <= 64
                && text.utf8.allSatisfy {
                    isDigit($0) || isLetter($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                }
        }
    }

    /// The ending of a file name, in upper or lower case. It is stored in lower case.
    static var attachmentEnding: ValueKind {
        ValueKind(
            expectation: "the ending of a file name without its dot, such as exe",
            parse: { text throws(ValueError) in
                let isValid =
                    text.utf8.count <= AttachmentEndings.maximumLength
                    && text.utf8.allSatisfy {
                        $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "/")
                    }
                guard isValid else { throw ValueError() }
                return text.lowercased()
            },
            write: { $0 })
    }

    /// Any text that can be in the brackets of a section of AWS's files.
    static var profile: ValueKind {
        text("the name of a profile") { text in
            text.utf8.count <= 128
                && text.utf8.allSatisfy {
                    $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "[") && $0 != UInt8(ascii: "]")
                }
        }
    }

    /// The URL of an SQS queue: scheme, host, and a path that ends with the account and the queue's name.
    static var queueURL: ValueKind {
        ValueKind(
            expectation:
                "a queue URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/hiveku-relay-feedback",
            parse: { text throws(ValueError) in
                guard !text.hasPrefix("arn:") else {
                    throw ValueError("it is an ARN; the URL is what 'aws sqs get-queue-url --queue-name NAME' prints")
                }
                guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else {
                    throw ValueError("it begins with neither https:// nor http://")
                }
                let parts = text.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
                let authority = String(parts.first ?? "")
                guard !authority.contains("@") else { throw ValueError("it must not contain credentials") }
                _ = try HostAndPort(authority)
                guard parts.count >= 3 else {
                    throw ValueError("the account and the queue's name are missing after the host")
                }
                let isPlain = parts.dropFirst().allSatisfy { part in
                    !part.isEmpty
                        && part.utf8.allSatisfy {
                            isDigit($0) || isLetter($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                        }
                }
                guard isPlain, text.utf8.count <= 512 else {
                    throw ValueError(
                        "its path is not an account and a queue's name; SES can't use queues whose name ends in .fifo")
                }
                return text
            },
            write: { $0 })
    }

    /// A URL that has only scheme, host and port. A trailing slash is dropped.
    static func endpoint(_ service: String) -> ValueKind {
        ValueKind(
            expectation: "a URL such as https://\(service).eu-central-1.amazonaws.com or http://127.0.0.1:5000",
            parse: { text throws(ValueError) in
                guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else {
                    throw ValueError("it begins with neither https:// nor http://")
                }
                let url = text.hasSuffix("/") ? String(text.dropLast()) : text
                let authority = String(url.dropFirst(scheme.count))
                guard !authority.contains("@") else { throw ValueError("it must not contain credentials") }
                guard !authority.contains("/") else { throw ValueError("it must not have a path") }
                _ = try HostAndPort(authority)
                return url
            },
            write: { $0 })
    }
}

extension ValueKind where Value == DatabaseLocation {
    /// Text that looks like a URI is not accepted as a path: it would become a directory with a strange name. libpq
    /// accepts a database in forms other than a URI too; these are not accepted here.
    static var database: ValueKind {
        ValueKind(
            expectation: "the path of a file (SQLite), or a URI such as postgresql://relay@db.example.com/relay",
            parse: { text throws(ValueError) in
                if let end = text.firstRange(of: "://")?.lowerBound {
                    let scheme = String(text[..<end])
                    guard scheme == "postgresql" || scheme == "postgres" else {
                        throw ValueError(
                            "\(legible(scheme)):// is not known; use a path for SQLite, or postgresql://…",
                            hidesText: true)
                    }
                    do throws(PostgreSQLPlace.ParseError) {
                        return .postgresql(try PostgreSQLPlace(text))
                    } catch {
                        throw ValueError(error.description, hidesText: true)
                    }
                }
                let word = text.prefix { $0.isLetter || $0 == "_" }
                let next = text.dropFirst(word.count).drop { $0 == " " }.first
                let isPlace = next == "=" || next == ":" && word.lowercased().hasPrefix("postgres")
                guard !isPlace else {
                    throw ValueError("write a PostgreSQL database as a URI, postgresql://…", hidesText: true)
                }
                return .sqlite(try ValueKind<String>.path.parse(text))
            },
            write: \.description)
    }
}

extension ValueKind where Value == RelaySettings.Listener {
    static var listener: ValueKind {
        ValueKind(
            expectation: "a listener such as smtp://0.0.0.0:587 (STARTTLS), smtps://[::]:465 (implicit TLS) or systemd",
            parse: { text throws(ValueError) in
                if text == "systemd" { return .inheritedSockets }
                guard !text.hasPrefix("http") else { throw ValueError("listeners for HTTP are set in http.listen") }
                let listener = try ListenerAddress<RelaySettings.Listener.Security>(text, "smtp:// nor smtps://")
                return .address(
                    listener.security, host: listener.host, port: listener.port, proxy: listener.takesProxyHeader)
            },
            write: \.description)
    }
}

extension ValueKind where Value == RelaySettings.HTTP.Listener {
    static var httpListener: ValueKind {
        ValueKind(
            expectation:
                "a listener such as https://0.0.0.0:443, http://127.0.0.1:2580, unix:/run/hiveku-relay/http.sock or systemd",
            parse: { text throws(ValueError) in
                if text == "systemd" { return .inheritedSockets }
                if text.hasPrefix("unix:") { return .unix(path: try SocketPath.parse(String(text.dropFirst(5)))) }
                guard !text.hasPrefix("smtp") else { throw ValueError("listeners for SMTP are set in listen") }
                let listener = try ListenerAddress<RelaySettings.HTTP.Listener.Security>(text, "https:// nor http://")
                if listener.security == .http, listener.takesProxyHeader,
                    !RelaySettings.HTTP.Listener.isLoopback(listener.host)
                {
                    throw ValueError("http+proxy is only for loopback addresses; use https+proxy")
                }
                return .address(
                    listener.security, host: listener.host, port: listener.port, proxy: listener.takesProxyHeader)
            },
            write: \.description)
    }
}

extension RelaySettings.HTTP.Listener {
    /// Whether only this machine can reach `host`. A host name other than localhost may later resolve to another
    /// machine.
    static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || IPAddress(host)?.isLoopback == true
    }
}

/// A listener written as a URL: a scheme, `+proxy` if connections begin with a PROXY header, a host and a port.
private struct ListenerAddress<Security: RawRepresentable> where Security.RawValue == String {
    let security: Security
    let host: String
    let port: Int
    let takesProxyHeader: Bool

    /// - Parameter schemes: the allowed beginnings, as the text after "neither".
    init(_ text: String, _ schemes: String) throws(ValueError) {
        guard let end = text.firstRange(of: "://") else { throw ValueError("it begins with neither \(schemes)") }
        let scheme = text[..<end.lowerBound]
        takesProxyHeader = scheme.hasSuffix(ListenerText.proxySuffix)
        let name = takesProxyHeader ? scheme.dropLast(ListenerText.proxySuffix.count) : scheme
        guard let security = Security(rawValue: String(name)) else {
            throw ValueError("it begins with neither \(schemes)")
        }
        self.security = security
        let place = try HostAndPort(String(text[end.upperBound...]))
        guard let port = place.port else { throw ValueError("the port is missing") }
        host = place.host
        self.port = port
    }
}

extension ValueKind where Value == RelaySettings.Metrics.Listener {
    static var metricsListener: ValueKind {
        ValueKind(
            expectation: "a loopback address with a port such as 127.0.0.1:9465, or unix: and a path",
            parse: { text throws(ValueError) in
                if text.hasPrefix("unix:") { return .unix(path: try SocketPath.parse(String(text.dropFirst(5)))) }
                guard !text.contains("://") else { throw ValueError("write it without a scheme") }
                let (address, port) = try LoopbackPlace.parse(
                    text,
                    elsewhere: "any client that connects gets the metrics, so they are only for this machine; "
                        + "put a proxy with a password in front of them, or an agent that forwards them")
                return .loopback(address, port: port)
            },
            write: \.description)
    }
}

extension ValueKind where Value == RelaySettings.Admin.Listener {
    static var adminListener: ValueKind {
        ValueKind(
            expectation:
                "unix: and a path, or http:// and a loopback address with a port such as http://127.0.0.1:2581",
            parse: { text throws(ValueError) in
                if text.hasPrefix("unix:") { return .unix(path: try SocketPath.parse(String(text.dropFirst(5)))) }
                guard text.hasPrefix("http://") else { throw ValueError("it begins with neither unix: nor http://") }
                let (address, port) = try LoopbackPlace.parse(
                    String(text.dropFirst(7)),
                    elsewhere:
                        "anyone who can open the page controls the keys, so it is only for this machine; from another machine use ssh -L, "
                        + "as 'hiveku-relay admin login' says")
                return .loopback(address, port: port)
            },
            write: \.description)
    }
}

/// A port of this machine that no other machine can reach.
private enum LoopbackPlace {
    /// - Parameter elsewhere: the message for an address of another machine.
    static func parse(_ text: String, elsewhere: String) throws(ValueError) -> (IPAddress, port: Int) {
        let place = try HostAndPort(text)
        guard let address = IPAddress(place.host == "localhost" ? "127.0.0.1" : place.host) else {
            throw ValueError("a host name may later resolve to another machine")
        }
        guard address.isLoopback else { throw ValueError(elsewhere) }
        guard let port = place.port else { throw ValueError("the port is missing") }
        return (address, port)
    }
}

/// The path of a Unix socket's file.
private enum SocketPath {
    /// The longest path, in octets, that fits into a `sockaddr_un` together with the terminating octet.
    static let longest = 107

    static func parse(_ text: String) throws(ValueError) -> String {
        guard text.hasPrefix("/"), !text.hasSuffix("/"), text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw ValueError("after unix: there must be the absolute path of a file")
        }
        guard text.utf8.count <= longest else {
            throw ValueError("the path of a socket may have at most \(longest) octets")
        }
        return text
    }
}

/// `host`, `host:port` or `[IPv6]:port`.
struct HostAndPort {
    /// The host, without brackets.
    let host: String
    let port: Int?

    init(_ text: String) throws(ValueError) {
        let bracket = text.hasPrefix("[") ? text.firstIndex(of: "]") : nil
        let colon = text[(bracket ?? text.startIndex)...].firstIndex(of: ":")
        let written = text[..<(colon ?? text.endIndex)]
        if text.hasPrefix("[") {
            host = String(written.dropFirst().dropLast())
            guard bracket != nil, written.last == "]", host.contains(":"), IPAddress(host) != nil else {
                throw ValueError("the text in brackets must be an IPv6 address")
            }
        } else {
            host = String(written)
            guard IPAddress(host) != nil || HostName.isValid(host) else {
                throw ValueError("the host must be an IP address or a host name")
            }
        }
        guard let colon else {
            port = nil
            return
        }
        let digits = text[text.index(after: colon)...]
        guard !digits.contains(":") else { throw ValueError("an IPv6 address must be in brackets") }
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit), let number = Int(digits),
            number <= 65_535
        else { throw ValueError("the port must be a number up to 65535") }
        port = number
    }
}

extension ValueKind where Value == AddrSpec {
    /// An address that SES can send from.
    static var senderAddress: ValueKind {
        ValueKind(
            expectation: "an email address such as bounces@example.com",
            parse: { text throws(ValueError) in
                guard !LikelySecret.isIn(text) else { throw ValueError() }
                guard !text.contains("<") else {
                    throw ValueError("give only the address, without a name and brackets")
                }
                let address: AddrSpec
                do throws(AddressError) { address = try AddrSpec(parsing: text.utf8) } catch {
                    throw ValueError(error.explanation)
                }
                if let obstacle = SenderIdentity.obstacle(to: address.text) {
                    throw ValueError("SES can't send from it: \(obstacle)")
                }
                return address
            },
            write: \.text)
    }
}
