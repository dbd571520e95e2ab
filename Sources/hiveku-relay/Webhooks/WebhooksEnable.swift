import ArgumentParser
import RelayCore

struct WebhooksEnable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Enable a webhook that a person or the relay has disabled.",
        discussion: "It receives events from now on, and those of the last day that still wait for it.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await common.store().update(id) { $0.setEnabled(true) }
        guard changed != nil else { throw noSuchWebhook(id) }
        printError("Enabled the webhook \(id).")
    }
}

struct WebhooksDisable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Disable a webhook: nothing is sent to it until it is enabled again.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await common.store().update(id) { $0.setEnabled(false) }
        guard changed != nil else { throw noSuchWebhook(id) }
        printError("Disabled the webhook \(id).")
    }
}
