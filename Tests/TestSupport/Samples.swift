import RelayCore

/// Ready-made values for tests.
public enum Sample {
    public static let now = Timestamp(milliseconds: 1_795_608_000_000)
    public static let client = IPAddress(ipv4: 0xC000_0207)

    /// A new key that may send, with its secret.
    public static func key(
        _ environment: Environment = .test, name: String = "sample", createdAt: Timestamp = now,
        configure: (inout Key) -> Void = { _ in }
    ) -> (secret: APIKey, stored: StoredKey) {
        var generator = SeededGenerator.next()
        let secret = APIKey(generating: environment, using: &generator)
        var key = Key(id: secret.id, name: name, environment: environment, scopes: [.send], createdAt: createdAt)
        configure(&key)
        return (secret, StoredKey(key: key, digest: secret.digest))
    }

    public static func submission(
        _ id: MessageID, key: KeyID, recipients: [String] = ["to@example.net"], body: [UInt8] = Array("x\r\n".utf8),
        subject: String? = "Hello", at time: Timestamp = now
    ) -> Submission {
        Submission(
            id: id, key: key, client: client,
            envelope: Envelope(reversePath: "from@example.com", recipients: recipients), subject: subject,
            body: .inline(body), acceptedAt: time)
    }

    public static func recipients(_ count: Int) -> [String] { (0..<count).map { "r\($0)@example.net" } }
}
