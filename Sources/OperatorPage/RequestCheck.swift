import HTTPTypes
import RelayCore

/// Checks whether a request comes from the operator's own browser tab. This is decided before anything is looked up.
///
/// The page listens on a loopback address. Every page in the operator's browser can send requests to it, and an
/// attacker's DNS server can point the name of the attacker's host to it (DNS rebinding). So `Host` must be a loopback
/// name, and the origin that browsers report (`Origin`, RFC 6454; `Sec-Fetch-Site`, W3C Fetch Metadata) must be this
/// page's. A browser sends these fields with every request that another page makes. A program that leaves them out has
/// no operator's cookie to abuse.
enum RequestCheck {
    enum Refusal: Hashable, Sendable {
        /// `Host` is missing, occurs twice, or is not a loopback name.
        case host
        /// Another page made the request.
        case foreign
        /// The browser fetched the page before the visitor asked for it.
        case prefetch
    }

    /// Why the request is refused; nil if it comes from this page.
    static func refusal(authority: String?, _ fields: HTTPFields) -> Refusal? {
        // A second Host appears as a separate field here.
        guard let authority, fields[.secondHost] == nil, isLoopback(authority) else { return .host }
        if fields[values: .secPurpose].contains(where: { $0.contains("prefetch") }) || fields[.purpose] == "prefetch" {
            return .prefetch
        }
        for origin in fields[values: .origin] where origin.lowercased() != "http://\(authority.lowercased())" {
            return .foreign
        }
        for site in fields[values: .secFetchSite] where site != "same-origin" && site != "none" { return .foreign }
        return nil
    }

    /// `127.0.0.1:2581`, `localhost:8025`, `[::1]`: any port is allowed, because ssh forwards from a different port.
    private static func isLoopback(_ authority: String) -> Bool {
        var host = Substring(authority)
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return false }
            guard isPort(host[host.index(after: end)...]) else { return false }
            return IPAddress(String(host[host.index(after: host.startIndex)..<end])).map { !$0.isIPv4 && $0.isLoopback }
                == true
        }
        if let colon = host.firstIndex(of: ":") {
            guard isPort(host[colon...]) else { return false }
            host = host[..<colon]
        }
        return host.lowercased() == "localhost" || IPAddress(String(host)).map { $0.isIPv4 && $0.isLoopback } == true
    }

    /// An empty text, or a colon and digits.
    private static func isPort(_ text: Substring) -> Bool {
        guard let first = text.first else { return true }
        return first == ":" && text.count <= 6 && text.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    }
}

extension HTTPField.Name {
    /// `Host` itself is part of the request's head.
    static let secondHost = HTTPField.Name("Host")!
    static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
    static let secPurpose = HTTPField.Name("Sec-Purpose")!
    static let purpose = HTTPField.Name("Purpose")!
}
