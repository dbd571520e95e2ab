import InternetMessage
import RelayCore

/// What the rules of a key may be, as an operator writes them, on the command line or on the page.
public enum KeyRules {
    /// What is wrong with a rule, to be put behind the rule's name: `must be 1 or more`, or `'x' is no domain; …`.
    public struct Mistake: Error, CustomStringConvertible {
        public let description: String
    }

    /// How long a key may work at most.
    public static let longestLife = Duration.seconds(100 * 365 * 86_400)

    @discardableResult
    public static func name(_ name: String) throws(Mistake) -> String {
        guard (1...100).contains(name.count), printable(name) == name else {
            throw Mistake(description: "must have 1 to 100 characters and no control characters")
        }
        // A name is listed, and stored as it is.
        guard !LikelySecret.isIn(name) else { throw Mistake(description: "must not hold an API key") }
        return name
    }

    public static func scope(_ text: String) throws(Mistake) -> Scope {
        guard let scope = Scope(rawValue: text) else {
            let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
            throw Mistake(description: "'\(printable(text))' is no scope; they are \(known)")
        }
        return scope
    }

    /// Emails per second.
    public static func perSecond(_ value: Double) throws(Mistake) -> Double {
        guard (0.0001...1_000_000).contains(value) else {
            throw Mistake(description: "must be at least 0.0001 (about 9 a day) and at most 1,000,000")
        }
        return value
    }

    /// When a key is to end.
    public static func expiry(_ time: Timestamp, now: Timestamp) throws(Mistake) -> Timestamp {
        guard time > now else { throw Mistake(description: "has passed; revoke the key to end it now") }
        guard time <= now + longestLife else { throw Mistake(description: "must be within 100 years") }
        return time
    }

    public static func burst(_ value: Int) throws(Mistake) -> Int {
        guard (1...1_000_000_000).contains(value) else { throw Mistake(description: "must be 1 or more") }
        return value
    }

    public static func perDay(_ value: Int) throws(Mistake) -> Int {
        guard (1...1_000_000_000_000).contains(value) else { throw Mistake(description: "must be 1 or more") }
        return value
    }

    /// `example.com`, or `*.example.com` for its subdomains.
    public static func domain(_ text: String) throws(Mistake) -> DomainPattern {
        let isWildcard = text.hasPrefix("*.")
        guard let domain = DomainName(text: isWildcard ? String(text.dropFirst(2)) : text) else {
            throw Mistake(
                description:
                    "'\(printable(text))' is no domain; write example.com, or *.example.com for its subdomains")
        }
        return DomainPattern(normalised: (isWildcard ? "*." : "") + domain.text)
    }

    /// An address or a CIDR block.
    public static func network(_ text: String) throws(Mistake) -> NetworkBlock {
        do {
            return try NetworkBlock(text)
        } catch {
            throw Mistake(description: "'\(printable(text))': \(error)")
        }
    }
}
