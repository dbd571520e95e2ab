import ArgumentParser
import RelayCore

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create, list, change, check and revoke API keys.",
        discussion: "Changes take effect at once, in a running relay too.",
        subcommands: [
            KeysCreate.self, KeysList.self, KeysShow.self, KeysUpdate.self, KeysRotate.self, KeysRevoke.self,
            KeysCheck.self,
        ])
}

extension Keys {
    /// Prints a key. This is the only time that it is shown.
    static func reveal(_ secret: APIKey, of record: KeyRecord, json: Bool) throws {
        if json {
            try JSONValue(record, revealed: secret.revealed).print()
        } else {
            print(secret.revealed)
        }
    }
}
