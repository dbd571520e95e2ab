import ArgumentParser
import RelayCore
import Settings

struct KeysRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Give a key a new secret and print it.",
        discussion: """
            Limits, usage and id stay. The old secret keeps working for the grace period, so that there is time to \
            change the application. A second rotation within that period ends the oldest secret at once.
            """)

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "How long the old secret keeps working, for example 24h; 0s ends it at once.") var grace: String =
        "24h"
    @Flag(help: "Print the key and its rules as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func period() throws -> Duration {
        guard let duration = Duration(written: grace), duration >= .zero, duration <= .seconds(365 * 86_400) else {
            throw ValidationError("--grace must be a length of time up to 365d, for example 24h")
        }
        return duration
    }

    func validate() throws { _ = try period() }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let record = try await store.keyRecord(id, now: now) else { throw StoreError.noSuchKey(id) }
        if record.key.revokedAt != nil {
            throw CommandError("the key \(id) is revoked, which can't be undone; create a new key")
        }
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(rotating: id, record.key.environment, using: &generator)
        let end = now + (try period())
        try await store.rotateKey(id, digest: secret.digest, previousUntil: end)
        try Keys.reveal(secret, of: record, json: json)
        if !json {
            printError(
                "The key \(id) has a new secret, which is shown only this once. The old one works until \(end.rfc3339)."
            )
        }
    }
}
