import HTTPTypes
import RelayCore

/// Whether a request comes from the operator's own browser tab: decided before anything is looked up.
///
/// The page listens at a loopback address, which every page in the operator's browser can send requests to, and whose name an attacker's
/// DNS server can give to a host of its own (DNS rebinding). So `Host` must be loopback's, and what browsers say of a request's origin
/// (`Origin`, RFC 6454; `Sec-Fetch-Site`, W3C Fetch Metadata) must be this page's. A browser sends them for every request that another
/// page makes; a program that leaves them out has no operator's cookie to abuse.
enum RequestCheck {
    enum Refusal: Hashable, Sendable {
        /// `Host` is missing, there twice, or not loopback's.
        case host
        /// Another page has made the request.
        case foreign
        /// The browser has fetched it before anybody asked for it.
        case prefetch
    }

    /// Why the request is refused; nil where it is this page's.
    static func refusal(authority: String?, _ fields: HTTPFields) -> Refusal? {
        // A second Host is a field by itself here.
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

    /// `127.0.0.1:2581`, `localhost:8025`, `[::1]`: with any port, since ssh forwards from a port of its own.
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

    /// Nothing, or a colon and digits.
    private static func isPort(_ text: Substring) -> Bool {
        guard let first = text.first else { return true }
        return first == ":" && text.count <= 6 && text.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    }
}

extension HTTPField.Name {
    /// `Host` itself is in the request's head.
    static let secondHost = HTTPField.Name("Host")!
    static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
    static let secPurpose = HTTPField.Name("Sec-Purpose")!
    static let purpose = HTTPField.Name("Purpose")!
}
