import RelayCore

/// A file in the form of `~/.aws/credentials`: for each profile a section with its name in brackets, and lines
/// `name = value`.
///
/// A systemd credential, which is a file that only this service may read, has the same form.
struct FileCredentials: CredentialsSource {
    let path: String
    let profile: String
    /// Whether an operator named this file. If so, it must exist.
    let isRequired: Bool

    var name: String { "file \(path) (profile \(profile))" }

    static let sizeLimit = 1 << 20

    func fingerprint() -> FileFingerprint? { FileFingerprint(path) }

    func load() -> SourceAnswer {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.contents(of: path, limit: FileCredentials.sizeLimit)
        } catch {
            return missing("the credentials file \(path) \(error)")
        }
        guard let values = CredentialsFile.profile(profile, in: String(decoding: bytes, as: UTF8.self)) else {
            return missing("the credentials file \(path) has no profile [\(profile)]")
        }
        return answer(values)
    }

    private func answer(_ values: [String: String]) -> SourceAnswer {
        let id = values["aws_access_key_id"] ?? ""
        let secret = values["aws_secret_access_key"] ?? ""
        guard !id.isEmpty || !secret.isEmpty else { return withoutKeys(values) }
        guard !id.isEmpty, !secret.isEmpty else {
            let lacking = id.isEmpty ? "aws_access_key_id" : "aws_secret_access_key"
            return .failed("the profile [\(profile)] in \(path) lacks \(lacking)")
        }
        let token = values["aws_session_token"]
        guard let credentials = AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token) else {
            return .failed(
                "the profile [\(profile)] in \(path) contains a blank or another character that is not allowed in credentials"
            )
        }
        return .found(credentials)
    }

    private func withoutKeys(_ values: [String: String]) -> SourceAnswer {
        let unsupported = ["role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"]
        if let way = unsupported.first(where: { values[$0] != nil }) {
            return .failed(
                "the profile [\(profile)] in \(path) uses \(way), which the relay does not support; give it aws_access_key_id and aws_secret_access_key, or let the machine's role provide the credentials"
            )
        }
        return missing("the profile [\(profile)] in \(path) has no aws_access_key_id")
    }

    private func missing(_ why: String) -> SourceAnswer { isRequired ? .failed(why) : .absent(why) }
}

enum CredentialsFile {
    /// The values of a profile, with names in lower case. Nil when there is no such section. Later lines override
    /// earlier ones.
    static func profile(_ name: String, in text: String) -> [String: String]? {
        var values: [String: String]?
        var isWithin = false
        for line in text.split(whereSeparator: \.isNewline).map(trimmed) {
            guard let first = line.first, first != "#", first != ";" else { continue }
            if first == "[" {
                isWithin = line.last == "]" && trimmed(line.dropFirst().dropLast()) == name
                if isWithin, values == nil { values = [:] }
            } else if isWithin, let sign = line.firstIndex(of: "=") {
                let value = trimmed(line[line.index(after: sign)...])
                values?[trimmed(line[..<sign]).lowercased()] = String(value)
            }
        }
        return values
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let head = text.drop(while: isBlank)
        guard let last = head.lastIndex(where: { !isBlank($0) }) else { return head[head.endIndex...] }
        return head[...last]
    }

    private static func isBlank(_ character: Character) -> Bool {
        character.isWhitespace || character == "\u{FEFF}" || character == "\0"
    }
}
