import ArgumentParser
import RelayCore

struct KeysCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create an API key and print it.",
        discussion: """
            The key is the only line on standard output, and is printed only this once: KEY=$(hiveku-relay keys create \
            --name shop --environment live --scope email:send). Only its hash is stored.
            """)

    @Option(help: "What the key is for, up to 100 characters.") var name: String
    @Option(help: "test: sends are simulated. live: mail is sent through SES.") var environment: RelayCore.Environment
    @OptionGroup var rules: KeyRuleOptions
    @Flag(help: "Print the key and its rules as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        try KeyRuleOptions.validateName(name)
        try rules.validate()
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(generating: environment, using: &generator)
        var key = Key(id: secret.id, name: name, environment: environment, scopes: [], createdAt: now)
        try rules.change(now: now)(&key)
        try await store.insertKey(StoredKey(key: key, digest: secret.digest))
        try Keys.reveal(secret, of: KeyRecord(key: key, usage: KeyUsage()), json: json)
        if !json {
            printError(
                "Created the \(environment.rawValue) key \(key.id) '\(printable(name))'. It is shown only this once.")
        }
        if !key.canSend {
            let scopes = key.scopes.union([.send]).map { " --scope \($0.rawValue)" }.sorted().joined()
            printError(
                "It has no scope and can't send yet. To let it send: hiveku-relay keys update \(key.id)\(scopes)")
        }
    }
}
