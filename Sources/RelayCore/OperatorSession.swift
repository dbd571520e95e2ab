import Hashing

/// The SHA-256 of a secret that signs an operator in: the secret of a link, or of a session's cookie. The secret itself
/// is never stored.
public struct OperatorDigest: Hashable, Sendable {
    /// 32 octets.
    public let bytes: [UInt8]

    /// Nil unless there are 32 octets.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// SHA-256 always has 32 octets.
    fileprivate init(_ digest: [UInt8]) { bytes = digest }
}

/// Stores who may use the operator's page: links that work once, and the sessions that they start. All relays on the
/// same store share them.
public protocol OperatorSessionStore: Sendable {
    /// Stores a link that works once, until the given time. Removes links that have expired.
    func insertLogin(_ login: OperatorDigest, until: Timestamp, now: Timestamp) async throws
    /// Ends the link and begins a session in one transaction. Returns false if there is no such link, or if it has been
    /// used or has expired.
    func beginSession(
        _ session: OperatorDigest, until: Timestamp, redeeming login: OperatorDigest, now: Timestamp
    ) async throws -> Bool
    /// When the session ends; nil if there is none, or if it has ended.
    func session(_ session: OperatorDigest, now: Timestamp) async throws -> Timestamp?
    /// Ends a session, if there is one.
    func endSession(_ session: OperatorDigest) async throws
    /// Ends all sessions and all links. Returns how many sessions had not expired.
    func endSessions(now: Timestamp) async throws -> Int
}

/// A secret that signs an operator in: the secret of a link, or of a session's cookie. It has 256 bits, so it can't be
/// guessed. It has no textual description, so that it can't get into a log by accident.
public struct OperatorSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// 64 lower-case hexadecimal digits.
    public let revealed: String

    public init(using generator: inout some RandomNumberGenerator) {
        revealed = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.hexadecimal
    }

    /// Nil for text that is not in the form of a secret.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 64,
            text.utf8.allSatisfy({
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
            })
        else { return nil }
        revealed = String(text)
    }

    /// The SHA-256 of `revealed`, which the store keeps instead of the secret.
    public var digest: OperatorDigest { OperatorDigest(SHA256.digest(of: revealed.utf8)) }

    /// A token that a session's forms contain, so that no other page can send them: the token is derived from the
    /// cookie's secret, which no page can read.
    public var formToken: String { HMACSHA256.code(for: "form".utf8, key: revealed.utf8).hexadecimal }

    /// How long a link is valid.
    public static let loginLife = Duration.seconds(5 * 60)
    /// How long a session lasts.
    public static let sessionLife = Duration.seconds(12 * 3600)

    public var description: String { "OperatorSecret(withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
