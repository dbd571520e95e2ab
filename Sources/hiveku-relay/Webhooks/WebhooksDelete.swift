import ArgumentParser
import RelayCore

struct WebhooksDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a webhook, its waiting events and its history.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard try await common.store().deleteWebhook(id) else { throw noSuchWebhook(id) }
        printError("Deleted the webhook \(id).")
    }
}
