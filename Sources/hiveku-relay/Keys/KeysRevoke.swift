import Admission
import ArgumentParser
import RelayCore
import Settings

struct KeysRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a key, at once and permanently.",
        discussion:
            "Once this command returns, no message of the key is accepted, not even on a connection that is open.")

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "What to do with the key's queued messages: deliver, hold or drop.")
    var queued: QueuedDisposition = .deliver
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let log = try common.settings().log
        let store = try common.store()
        let dropped = try await store.revokeKey(id, queued: queued, clock: store.commandClock)
        await DropLog(log).write(dropped, of: store)
        let rest =
            switch queued {
            case .deliver: "Its queued messages are still delivered."
            case .hold: "Its queued messages are held: 'hiveku-relay messages release --key \(id)' sends them."
            case .drop: "Its queued messages are dropped."
            }
        printError("Revoked the key \(id). \(rest)")
    }
}
