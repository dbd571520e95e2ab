/// The place where a store keeps its data.
public enum DatabaseLocation: Hashable, Sendable {
    /// The path of a file.
    case sqlite(String)
    case postgresql(PostgreSQLPlace)

    /// The path of the database's file; nil for a database on a server.
    public var file: String? {
        if case .sqlite(let path) = self { path } else { nil }
    }
}

extension DatabaseLocation: CustomStringConvertible {
    /// The path, or the URI without its secrets. It may be put into logs and errors.
    public var description: String {
        switch self {
        case .sqlite(let path): path
        case .postgresql(let place): place.description
        }
    }
}

/// A database on a PostgreSQL server, as a connection URI of libpq (PostgreSQL's manual, section "Connection URIs"):
/// `postgresql://user:password@host:port,host:port/database?parameter=value`.
///
/// The password is only in ``uri``: no description of the value repeats it.
public struct PostgreSQLPlace: Hashable, Sendable {
    /// The URI as it was written, with its password. Only libpq may get it.
    public let uri: String
    /// The user, percent-encoded as written; empty if the URI leaves it to libpq.
    private let user: String
    private let hosts: String
    private let database: String
    /// The parameters. Names are decoded, values are as written.
    private let parameters: [Parameter]
    /// Whether the URI contains a password or another secret.
    public let hasPassword: Bool

    private struct Parameter: Hashable {
        var name: String
        var value: String
    }

    /// A mistake in a URI. Its text repeats nothing of the URI.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String

        init(_ description: String) { self.description = description }
    }

    /// The most octets of a URI.
    public static let maximumLength = 4096
    /// The most hosts in a URI.
    public static let maximumHosts = 16

    /// Reads a URI by the rules of libpq (`conninfo_uri_parse`), so that the relay and libpq find the same password in
    /// it.
    ///
    /// Unknown parameters are accepted here and refused by libpq, because it depends on libpq's version which ones
    /// exist.
    public init(_ uri: String) throws(ParseError) {
        guard let scheme = ["postgresql://", "postgres://"].first(where: uri.hasPrefix) else {
            throw ParseError("it must begin with postgresql://")
        }
        guard uri.utf8.count <= PostgreSQLPlace.maximumLength else {
            throw ParseError("it is longer than \(PostgreSQLPlace.maximumLength) octets")
        }
        guard uri.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else {
            throw ParseError("a space or control character in it must be percent-encoded, a space as %20")
        }
        var rest = uri.dropFirst(scheme.count)
        var isSecret = false
        (user, isSecret) = try PostgreSQLPlace.takeCredentials(&rest)
        hosts = String(rest.prefix { $0 != "/" && $0 != "?" })
        rest = rest.dropFirst(hosts.count)
        if rest.first == "/" {
            database = String(rest.dropFirst().prefix { $0 != "?" })
            rest = rest.dropFirst(database.count + 1)
        } else {
            database = ""
        }
        guard !hosts.contains("@"), !database.contains("@") else {
            throw ParseError("an @ or a / in its user name or password must be percent-encoded: %40, %2F")
        }
        try PostgreSQLPlace.check(hosts: hosts)
        try _ = decoded(database, "the database's name")
        parameters = try PostgreSQLPlace.parameters(rest.dropFirst())
        let names = Set(parameters.map(\.name))
        guard names.isDisjoint(with: ["replication", "client_encoding"]) else {
            throw ParseError(
                "the relay sets client_encoding itself and does not use replication: leave these parameters out")
        }
        for parameter in parameters where parameter.name == "target_session_attrs" {
            guard ["read-write", "primary"].contains(parameter.value) else {
                throw ParseError("target_session_attrs must be read-write, or left out: the relay writes")
            }
        }
        hasPassword = isSecret || !names.isDisjoint(with: PostgreSQLPlace.secrets)
        self.uri = uri
    }

    /// Parameters whose value is a secret. The value of a parameter for a file (`passfile`, `sslkey`) is only a path.
    private static let secrets: Set = [
        "password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key",
    ]
    /// Parameters that say where the database is. All others are left out of the description, because a later libpq may
    /// have more secrets.
    private static let shown: Set = [
        "host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "passfile", "target_session_attrs",
    ]

    /// The value of a parameter, decoded; nil if the URI has no parameter with this name. If the URI has several, this
    /// is the last one, which libpq uses.
    ///
    /// - Parameter name: the name of a parameter that is not a secret, such as `passfile`.
    public func parameter(_ name: String) -> String? {
        parameters.last { $0.name == name }.flatMap { try? decoded($0.value, "") }
    }

    // MARK: Reading

    /// Removes `user:password@` from the beginning of `rest`, if it is there. Returns the user as written, and whether
    /// there is a password. Libpq looks for the `@` only before the first `/`.
    private static func takeCredentials(_ rest: inout Substring) throws(ParseError) -> (user: String, hasPassword: Bool)
    {
        guard let end = rest.firstIndex(where: { $0 == "@" || $0 == "/" }), rest[end] == "@" else { return ("", false) }
        let credentials = rest[..<end]
        rest = rest[rest.index(after: end)...]
        let user = credentials.prefix { $0 != ":" }
        let password = credentials.dropFirst(user.count + 1)
        _ = try decoded(String(user), "the user's name")
        _ = try decoded(String(password), "the password")
        return (String(user), !password.isEmpty)
    }

    private static func check(hosts: String) throws(ParseError) {
        let hosts = hosts.split(separator: ",", omittingEmptySubsequences: false)
        guard hosts.count <= maximumHosts else { throw ParseError("it names more than \(maximumHosts) hosts") }
        for host in hosts {
            var port = host.drop { $0 != ":" }
            if host.first == "[" {
                guard let end = host.firstIndex(of: "]"),
                    IPAddress(String(host[host.index(after: host.startIndex)..<end]))
                        != nil
                else { throw ParseError("between the brackets must be an IPv6 address") }
                port = host[host.index(after: end)...]
                guard port.isEmpty || port.first == ":" else {
                    throw ParseError("only a port may follow an IPv6 address")
                }
            } else {
                _ = try decoded(String(host.prefix { $0 != ":" }), "a host's name")
            }
            // An empty port stands for libpq's default.
            guard port.count > 1 else { continue }
            guard let number = Int(port.dropFirst()), (1...65_535).contains(number) else {
                throw ParseError(
                    "a port must be a number up to 65535; a / in a password must be percent-encoded as %2F, a : in a user "
                        + "name as %3A")
            }
        }
    }

    private static func parameters(_ text: Substring) throws(ParseError) -> [Parameter] {
        guard !text.isEmpty else { return [] }
        var parameters: [Parameter] = []
        for pair in text.split(separator: "&", omittingEmptySubsequences: false) {
            let name = pair.prefix { $0 != "=" }
            let value = pair.dropFirst(name.count + 1)
            guard name.count < pair.count, !name.isEmpty, !value.contains("=") else {
                throw ParseError(
                    "write the parameters after the ? as name=value, with & between them, and a = within a value as %3D"
                )
            }
            _ = try decoded(String(value), "a parameter")
            parameters.append(Parameter(name: try decoded(String(name), "a parameter's name"), value: String(value)))
        }
        return parameters
    }
}

/// The text with percent-encoded octets decoded: `%41` becomes `A`. `what` names the text in errors.
private func decoded(_ text: String, _ what: String) throws(PostgreSQLPlace.ParseError) -> String {
    func digit(_ octet: UInt8?) -> UInt8? {
        octet.flatMap { Character(UnicodeScalar($0)).hexDigitValue }.map(UInt8.init)
    }
    var octets: [UInt8] = []
    var rest = text.utf8[...]
    while let octet = rest.popFirst() {
        guard octet == UInt8(ascii: "%") else {
            octets.append(octet)
            continue
        }
        guard let high = digit(rest.popFirst()), let low = digit(rest.popFirst()), high << 4 | low != 0 else {
            throw PostgreSQLPlace.ParseError(
                "a % in \(what) must be written %25, or two hexadecimal digits must follow it")
        }
        octets.append(high << 4 | low)
    }
    guard let text = String(validating: octets, as: UTF8.self) else {
        throw PostgreSQLPlace.ParseError("\(what) is not UTF-8")
    }
    return text
}

extension PostgreSQLPlace: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URI without passwords: `postgresql://relay@db1.example.com,db2.example.com/relay`.
    public var description: String {
        let shown = parameters.filter { PostgreSQLPlace.shown.contains($0.name) }.map { "\($0.name)=\($0.value)" }
        return "postgresql://" + (user.isEmpty ? "" : user + "@") + hosts + (database.isEmpty ? "" : "/" + database)
            + (shown.isEmpty ? "" : "?" + shown.joined(separator: "&"))
    }

    public var debugDescription: String { description }

    /// `dump` and failing tests print this mirror.
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
