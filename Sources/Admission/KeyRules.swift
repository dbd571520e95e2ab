import InternetMessage
import RelayCore

/// The values that a key's rules may have, as an operator writes them on the command line or on the page.
public enum KeyRules {
    /// What is wrong with a value. The text follows the rule's name: `must be within 100 years`, or
    /// `'x' is not a domain; …`.
    public struct Mistake: Error, CustomStringConvertible {
        public let description: String
    }

    /// The longest time for which a key may be valid.
    public static let longestLife = Duration.seconds(100 * 365 * 86_400)

    /// A key's name: 1 to 100 characters without control characters, and no API key.
    @discardableResult
    public static func name(_ name: String) throws(Mistake) -> String {
        guard (1...100).contains(name.count), printable(name) == name else {
            throw Mistake(description: "must have 1 to 100 characters and no control characters")
        }
        // A name appears in lists and is stored in plain text.
        guard !LikelySecret.isIn(name) else { throw Mistake(description: "must not hold an API key") }
        return name
    }

    /// The scope with this name.
    public static func scope(_ text: String) throws(Mistake) -> Scope {
        guard let scope = Scope(rawValue: text) else {
            let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
            throw Mistake(description: "'\(printable(text))' is not a scope; the scopes are \(known)")
        }
        return scope
    }

    /// The rate in emails per second: 0.0001 to 1,000,000.
    public static func perSecond(_ value: Double) throws(Mistake) -> Double {
        guard (0.0001...1_000_000).contains(value) else {
            throw Mistake(description: "must be at least 0.0001 (about 9 a day) and at most 1,000,000")
        }
        return value
    }

    /// The time at which a key expires.
    public static func expiry(_ time: Timestamp, now: Timestamp) throws(Mistake) -> Timestamp {
        guard time > now else { throw Mistake(description: "is in the past; to end the key now, revoke it") }
        guard time <= now + longestLife else { throw Mistake(description: "must be within 100 years") }
        return time
    }

    /// The burst in emails: 1 to 1,000,000,000.
    public static func burst(_ value: Int) throws(Mistake) -> Int {
        guard (1...1_000_000_000).contains(value) else {
            throw Mistake(description: "must be a number from 1 to 1,000,000,000")
        }
        return value
    }

    /// The daily cap in emails: 1 to 1,000,000,000,000.
    public static func perDay(_ value: Int) throws(Mistake) -> Int {
        guard (1...1_000_000_000_000).contains(value) else {
            throw Mistake(description: "must be a number from 1 to 1,000,000,000,000")
        }
        return value
    }

    /// A domain: `example.com`, or `*.example.com` for its subdomains.
    public static func domain(_ text: String) throws(Mistake) -> DomainPattern {
        let isWildcard = text.hasPrefix("*.")
        guard let domain = DomainName(text: isWildcard ? String(text.dropFirst(2)) : text) else {
            throw Mistake(
                description:
                    "'\(printable(text))' is not a domain; write example.com, or *.example.com for its subdomains")
        }
        return DomainPattern(normalised: (isWildcard ? "*." : "") + domain.text)
    }

    /// A network: an address or a CIDR block.
    public static func network(_ text: String) throws(Mistake) -> NetworkBlock {
        do {
            return try NetworkBlock(text)
        } catch {
            throw Mistake(description: "'\(printable(text))': \(error)")
        }
    }
}
