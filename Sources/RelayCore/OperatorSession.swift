import Hashing

/// The SHA-256 of a secret that lets an operator in: of a link, or of a session's cookie. The secret itself is stored nowhere.
public struct OperatorDigest: Hashable, Sendable {
    /// 32 octets.
    public let bytes: [UInt8]

    /// Nil for other than 32 octets.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// SHA-256 makes no other number of octets.
    fileprivate init(_ digest: [UInt8]) { bytes = digest }
}

/// Who is let in to the operator's page: links that are good once, and the sessions that they lead to. All relays on the same store
/// share them.
public protocol OperatorSessionStore: Sendable {
    /// Puts a link on record, which is good once and until then. What has run out is removed.
    func insertLogin(_ login: OperatorDigest, until: Timestamp, now: Timestamp) async throws
    /// Ends the link and begins a session in one transaction. Returns false where there is no such link, where it was used or
    /// where it has run out.
    func beginSession(
        _ session: OperatorDigest, until: Timestamp, redeeming login: OperatorDigest, now: Timestamp
    ) async throws -> Bool
    /// When the session ends; nil where there is none, or it has ended.
    func session(_ session: OperatorDigest, now: Timestamp) async throws -> Timestamp?
    func endSession(_ session: OperatorDigest) async throws
    /// Ends all sessions and all links. Returns how many sessions had not run out.
    func endSessions(now: Timestamp) async throws -> Int
}

/// A secret that lets an operator in: that of a link, or of a session's cookie. 256 bits, so there is nothing to guess. Has no textual
/// description, so that it gets into no log by accident.
public struct OperatorSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// 64 lower-case hexadecimal digits.
    public let revealed: String

    public init(using generator: inout some RandomNumberGenerator) {
        revealed = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.hexadecimal
    }

    /// Nil for what no secret looks like.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 64,
            text.utf8.allSatisfy({
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
            })
        else { return nil }
        revealed = String(text)
    }

    public var digest: OperatorDigest { OperatorDigest(SHA256.digest(of: revealed.utf8)) }

    /// What the forms of a session carry, so that no other page can send them: made of the cookie's secret, which no page can read.
    public var formToken: String { HMACSHA256.code(for: "form".utf8, key: revealed.utf8).hexadecimal }

    /// How long a link is good.
    public static let loginLife = Duration.seconds(5 * 60)
    /// How long a session lasts.
    public static let sessionLife = Duration.seconds(12 * 3600)

    public var description: String { "OperatorSecret(withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
