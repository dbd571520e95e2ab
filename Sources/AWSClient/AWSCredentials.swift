import RelayCore

/// What a request to AWS is signed with.
///
/// The secret parts have no textual description, so that they can't get into a log by accident; the access key id is
/// public, as a key's id is.
public struct AWSCredentials: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    public let accessKeyID: String
    let secretAccessKey: String
    /// Only temporary credentials have one.
    let sessionToken: String?
    /// When they stop working; nil: they last.
    public let expiresAt: Timestamp?

    /// Nil unless every part is visible ASCII: what else it may be, it is no credential, and a line end in a token would
    /// end the header field that carries it. An empty token is none.
    public init?(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, expiresAt: Timestamp? = nil)
    {
        let token = sessionToken.flatMap { $0.isEmpty ? nil : $0 }
        for part in [accessKeyID, secretAccessKey, token ?? "-"] {
            guard !part.isEmpty, part.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
        }
        // The scope of a signature has the id between slashes.
        guard !accessKeyID.utf8.contains(UInt8(ascii: "/")) else { return nil }
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = token
        self.expiresAt = expiresAt
    }

    public func isExpired(at now: Timestamp) -> Bool { expiresAt.map { $0 <= now } ?? false }

    /// What must not appear in anything that is written down.
    package var secrets: [String] { [secretAccessKey] + (sessionToken.map { [$0] } ?? []) }

    public var description: String { "AWSCredentials(\(accessKeyID), secret withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["accessKeyID": accessKeyID]) }
}

/// Where the transport gets its credentials from.
public protocol CredentialsProvider: Sendable {
    /// Credentials that are good now.
    func credentials() async throws(CredentialsError) -> AWSCredentials
    /// AWS refused these: their source must be read again before they are handed out again.
    func refused(_ credentials: AWSCredentials) async
}

/// Why there are no credentials, in words for the operator.
public struct CredentialsError: Error, Hashable, Sendable, CustomStringConvertible {
    public var explanation: String

    public init(_ explanation: String) { self.explanation = explanation }

    public var description: String { explanation }
}

/// Credentials given once and for all.
public struct StaticCredentials: CredentialsProvider {
    private let held: AWSCredentials

    public init(_ credentials: AWSCredentials) { held = credentials }

    public func credentials() -> AWSCredentials { held }
    public func refused(_ credentials: AWSCredentials) {}
}
