import HTTPTypes
import RelayCore

/// Finds the client of a request that proxies have forwarded.
enum ForwardedClient {
    /// The client's address: the peer's address or, if the peer is a trusted proxy, the last address in
    /// `X-Forwarded-For` that is not a trusted proxy. From any other peer, the field is ignored.
    ///
    /// Nil if a trusted proxy has sent an entry that is not an address. If the relay then used the proxy's address, the
    /// client could pass a key's list of networks.
    static func address(peer: IPAddress, _ fields: HTTPFields, trusted: [NetworkBlock]) -> IPAddress? {
        func trimmed(_ entry: Substring) -> Substring {
            let isBlank = { (character: Character) in character == " " || character == "\t" }
            var entry = entry.drop(while: isBlank)
            while entry.last.map(isBlank) ?? false { entry.removeLast() }
            return entry
        }
        func isTrusted(_ address: IPAddress) -> Bool { trusted.contains { $0.contains(address) } }
        guard isTrusted(peer) else { return peer }
        // Several fields are one list (RFC 9110 section 5.3).
        // Empty elements of a list don't count (section 5.6.1).
        let entries = fields[values: .xForwardedFor].flatMap { $0.split(separator: ",") }
            .map(trimmed).filter { !$0.isEmpty }
        for entry in entries.reversed() {
            guard let address = IPAddress(forwarded: entry) else { return nil }
            if !isTrusted(address) { return address }
        }
        return peer
    }
}

extension IPAddress {
    /// An entry in the forms that proxies write: an address, an IPv6 address in brackets, or either with a port.
    fileprivate init?(forwarded entry: some StringProtocol) {
        var host = Substring(entry)
        var port: Substring?
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return nil }
            let rest = host[host.index(after: end)...]
            host = host[host.index(after: host.startIndex)..<end]
            if !rest.isEmpty {
                guard rest.first == ":" else { return nil }
                port = rest.dropFirst()
            }
        } else if host.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1, let colon = host.firstIndex(of: ":") {
            port = host[host.index(after: colon)...]
            host = host[..<colon]
        }
        guard port.map({ UInt16($0) != nil }) ?? true else { return nil }
        self.init(String(host))
    }
}

extension HTTPField.Name {
    static let xForwardedFor = HTTPField.Name("X-Forwarded-For")!
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotentReplayed = HTTPField.Name("Idempotent-Replayed")!
    static let rateLimit = HTTPField.Name("RateLimit")!
    static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy")!
}
