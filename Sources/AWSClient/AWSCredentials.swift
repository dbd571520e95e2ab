import RelayCore

/// The credentials that sign a request to AWS.
///
/// The secret parts have no textual description, so that they can't get into a log by accident. The access key id is
/// public, like a key's id.
public struct AWSCredentials: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The id of the access key. It is public.
    public let accessKeyID: String
    let secretAccessKey: String
    /// Only temporary credentials have a session token.
    let sessionToken: String?
    /// When the credentials expire. Nil if they do not.
    public let expiresAt: Timestamp?

    /// Returns nil if the id or the secret is empty, if any part contains anything but visible ASCII, or if the id
    /// contains a slash. Such text is not a credential, and a line end in a token would end the header field that
    /// carries it. An empty token is treated as none.
    public init?(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, expiresAt: Timestamp? = nil)
    {
        let token = sessionToken.flatMap { $0.isEmpty ? nil : $0 }
        for part in [accessKeyID, secretAccessKey, token ?? "-"] {
            guard !part.isEmpty, part.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
        }
        // In the scope of a signature, the id is between slashes.
        guard !accessKeyID.utf8.contains(UInt8(ascii: "/")) else { return nil }
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = token
        self.expiresAt = expiresAt
    }

    /// Whether the credentials have expired.
    public func isExpired(at now: Timestamp) -> Bool { expiresAt.map { $0 <= now } ?? false }

    /// Texts that must not appear in anything that is written down.
    package var secrets: [String] { [secretAccessKey] + (sessionToken.map { [$0] } ?? []) }

    public var description: String { "AWSCredentials(\(accessKeyID), secret withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["accessKeyID": accessKeyID]) }
}

/// The source of the transport's credentials.
public protocol CredentialsProvider: Sendable {
    /// Returns credentials that are valid now.
    func credentials() async throws(CredentialsError) -> AWSCredentials
    /// Reports that AWS refused these credentials. Their source must be read again before they are used again.
    func refused(_ credentials: AWSCredentials) async
}

/// Why there are no credentials. The text is for the operator.
public struct CredentialsError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong and what to do.
    public var explanation: String

    public init(_ explanation: String) { self.explanation = explanation }

    public var description: String { explanation }
}

/// Credentials that never change.
public struct StaticCredentials: CredentialsProvider {
    private let held: AWSCredentials

    /// A provider that always returns these credentials.
    public init(_ credentials: AWSCredentials) { held = credentials }

    public func credentials() -> AWSCredentials { held }
    public func refused(_ credentials: AWSCredentials) {}
}
