import RelayCore

/// One of the places that may hold credentials.
protocol CredentialsSource: Sendable {
    /// The name for the log: `environment`, `file /etc/aws (profile default)`.
    var name: String { get }
    func load() async -> SourceAnswer
    /// Returns the fingerprint of the file that holds the credentials; nil if there is no such file. The fingerprint
    /// differs from the last one if the file may have changed. It is cheap enough to be read before every request.
    func fingerprint() -> FileFingerprint?
}

extension CredentialsSource {
    func fingerprint() -> FileFingerprint? { nil }
}

/// The answer of a source. The texts are for the operator and contain no secret.
enum SourceAnswer: Sendable, Equatable {
    case found(AWSCredentials)
    /// The source is not used here. The next source is asked.
    case absent(String)
    /// The source is used here but does not work. If the next source were asked, credentials could be used that were
    /// not intended.
    case failed(String)
}

/// The variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
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
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN contains a blank or another character that is not allowed in credentials"
            )
        }
        return .found(credentials)
    }
}
