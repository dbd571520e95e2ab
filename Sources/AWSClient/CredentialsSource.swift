import RelayCore

/// One of the places where credentials may stand.
protocol CredentialsSource: Sendable {
    /// For the log: `environment`, `file /etc/aws (profile default)`.
    var name: String { get }
    func load() async -> SourceAnswer
    /// Unlike before when what `load` reads may have changed; cheap enough to ask before every request.
    func fingerprint() -> FileFingerprint?
}

extension CredentialsSource {
    func fingerprint() -> FileFingerprint? { nil }
}

/// What a source says. The words are for the operator and hold no secret.
enum SourceAnswer: Sendable, Equatable {
    case found(AWSCredentials)
    /// It is not used here: the next one is asked.
    case absent(String)
    /// It is used here, but does not work: going on to the next would use credentials that nobody meant.
    case failed(String)
}

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
struct EnvironmentCredentials: CredentialsSource {
    let environment: [String: String]

    let name = "environment"

    func load() -> SourceAnswer {
        let id = environment["AWS_ACCESS_KEY_ID"] ?? ""
        let secret = environment["AWS_SECRET_ACCESS_KEY"] ?? ""
        guard !id.isEmpty || !secret.isEmpty else { return .absent("AWS_ACCESS_KEY_ID is not in the environment") }
        guard !id.isEmpty else { return .failed("AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not") }
        guard !secret.isEmpty else { return .failed("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not") }
        let token = environment["AWS_SESSION_TOKEN"]
        guard let credentials = AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token) else {
            return .failed(
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN holds a blank or another character that no credential has"
            )
        }
        return .found(credentials)
    }
}
