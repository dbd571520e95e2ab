/// An entry of a key's domain allowlist: an exact domain, or `*.suffix` for its subdomains only.
///
/// The text is in lower-case A-labels. What an operator types is normalised before a pattern is made of it.
public struct DomainPattern: Hashable, Sendable, CustomStringConvertible {
    /// The domain, without the `*.`.
    public let domain: String
    /// Whether only subdomains match.
    public let subdomainsOnly: Bool

    /// `normalised` is a domain in lower-case A-labels without a trailing dot, or `*.` and such a domain.
    public init(normalised: String) {
        subdomainsOnly = normalised.hasPrefix("*.")
        domain = subdomainsOnly ? String(normalised.dropFirst(2)) : normalised
    }

    /// Whether the pattern matches `candidate`, a domain in lower-case A-labels without a trailing dot.
    public func matches(_ candidate: String) -> Bool {
        guard subdomainsOnly else { return candidate == domain }
        // The dot before the suffix must be part of the candidate: `evilexample.com` is not a subdomain of
        // `example.com`.
        return candidate.utf8.count > domain.utf8.count + 1 && candidate.hasSuffix(domain)
            && candidate.utf8.dropLast(domain.utf8.count).last == UInt8(ascii: ".")
    }

    public var description: String { subdomainsOnly ? "*." + domain : domain }
}
