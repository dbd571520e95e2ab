import ArgumentParser
import RelayCore

struct WebhooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhooks",
        abstract: "Create, list, test and disable webhooks, which receive events about messages.",
        discussion: """
            A webhook belongs to a key and receives events about that key's messages. The relay posts each event to it \
            as JSON, at least once and in no particular order. It tries again for 24 hours: 30 s after the first try, \
            then after twice as long each time. A response with a status of 200 to 299 within 15 s means that the \
            event has arrived.

            To check that a request comes from the relay, a receiver decodes the base64 text after whsec_ to get the \
            key. With this key it computes the HMAC-SHA256 of '<webhook-id>.<webhook-timestamp>.<body>'. One of the \
            values in the header webhook-signature, which are separated by spaces, must be 'v1,' followed by the \
            result in base64. The libraries of Standard Webhooks do this, and refuse old timestamps:

                pip install standardwebhooks
                standardwebhooks.Webhook(secret).verify(body, headers)

            X-Hiveku-Signature is the HMAC-SHA256 of the body alone, in hexadecimal digits. Its key is the whole text whsec_….
            The webhook-id is the same at each try, so a receiver can recognise an event that arrives twice.
            """,
        subcommands: [
            WebhooksList.self, WebhooksCreate.self, WebhooksShow.self, WebhooksDeliveries.self, WebhooksTest.self,
            WebhooksRotate.self, WebhooksEnable.self, WebhooksDisable.self, WebhooksDelete.self,
        ])
}

extension WebhookID: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

func noSuchWebhook(_ id: WebhookID) -> CommandError {
    CommandError("no webhook has the id \(id); 'hiveku-relay webhooks list' lists all webhooks")
}

extension WebhooksCommand {
    /// A percentage such as `97 %`; `-` if nothing was sent.
    static func share(_ part: Int, _ whole: Int) -> String { whole == 0 ? "-" : "\(part * 100 / whole) %" }

    /// What the column STATE says.
    static func state(_ webhook: Webhook, now: Timestamp) -> String {
        guard webhook.isEnabled else { return "DISABLED" + (webhook.disabledBecause.map { ": \($0)" } ?? "") }
        return webhook.failingSince.map { "fails for \(approximate(now - $0))" } ?? "works"
    }

    /// Prints a webhook's signing secret. This is the only time that it is shown.
    static func reveal(_ webhook: Webhook, json: Bool) throws {
        if json {
            try JSONValue(webhook, ["signing_secret": .string(webhook.secret.text)]).print()
        } else {
            print(webhook.secret.text)
        }
    }

    /// How the last try ended.
    static func answer(_ record: WebhookCallRecord) -> String {
        guard record.lastAttemptAt != nil else { return "not tried yet" }
        return record.lastStatus.map { "answered with \($0)" } ?? record.lastResponse ?? "no answer"
    }

    static func printCalls(_ calls: [WebhookCallRecord]) {
        var table = Table(["EVENT", "TYPE", "CREATED", "STATE", "TRIES", "LAST TRY", "RESULT"], rightAligned: [4])
        for record in calls {
            table.append([
                record.call.event, record.call.type, brief(record.call.createdAt), record.state.rawValue,
                String(record.call.attempts), brief(record.lastAttemptAt), answer(record),
            ])
        }
        table.print()
    }
}
