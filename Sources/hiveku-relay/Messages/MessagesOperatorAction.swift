import Admission
import ArgumentParser
import Foundation
import RelayCore
import Settings

/// Selects the messages to change: by id, or by key or state. A command line without any of these is refused, so that
/// no one selects all messages by mistake.
struct MessageSelection: ParsableArguments {
    @Argument(help: "Message ids, with or without msg_ in front.") var ids: [MessageID] = []
    @Option(help: "All messages of this key; with --state, only those in this state.") var key: KeyID?
    @Option(help: "All messages in this state; with --key, only those of this key.") var state: MessageState?
    @Flag(
        help:
            "Don't ask for confirmation. Without this flag, the command asks when it runs on a terminal and --key or --state select more than one message."
    )
    var yes = false

    func validate() throws {
        if ids.isEmpty, key == nil, state == nil { throw ValidationError("name messages, or --key or --state") }
    }

    private var filter: MessageFilter {
        MessageFilter(ids: ids.isEmpty ? nil : ids, key: key, state: state, limit: .max)
    }

    /// Whether to ask for confirmation before this many messages change. A script is not asked: its options say what it
    /// wants, and it can't answer.
    private func mustAsk(_ count: Int) -> Bool {
        ids.isEmpty && count > 1 && !yes && Confirmation.isPossible
    }

    /// Applies the operator's action to the selected messages, one batch at a time. Returns how many deliveries
    /// changed.
    ///
    /// - Parameters:
    ///   - question: the verb before the number of messages, such as `Drop`.
    ///   - done: the participle for the report, such as `dropped`.
    ///   - log: called with the messages of each batch after the action is stored.
    func perform(
        _ operatorAction: OperatorAction, _ store: any RelayStore, question: String, done: String, log: DropLog? = nil
    ) async throws -> Int {
        let progress = ProgressLine()
        defer { progress.clear() }
        let messages = try await store.matching(operatorAction, filter, now: store.commandClock.now()) { found in
            progress.show("looking for messages: \(grouped(found))")
        }
        progress.clear()
        if mustAsk(messages.count), !Confirmation.of("\(question) \(grouped(messages.count)) messages?") {
            printError("Nothing was changed.")
            throw ExitCode(1)
        }
        var (changed, handled) = (0, 0)
        while handled < messages.count {
            let batch = Array(messages[handled..<min(handled + OperatorAction.batch, messages.count)])
            do {
                changed += try await store.perform(operatorAction, batch, now: store.commandClock.now())
            } catch {
                guard handled > 0 else { throw error }
                progress.clear()
                let rest = grouped(messages.count - handled)
                throw CommandError("\(error) (\(grouped(handled)) messages are \(done), \(rest) are not: try again)")
            }
            handled += batch.count
            await log?.write(batch, of: store)
            progress.show("\(done): \(grouped(handled)) of \(grouped(messages.count)) messages")
        }
        return changed
    }
}

struct MessagesRetry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Send failed messages again.",
        discussion: """
            Only the deliveries that failed are sent again. Of a message in the state partly-failed, the deliveries that \
            were sent are not repeated. Messages in other states do not change. A queued message is tried again by itself; to try it at once, hold \
            it and release it. A message that was sent and bounced, or that was suppressed, can't be sent again from \
            here: the application must send a new message.

            --state and --key select messages of any age. To send again only failed messages that the relay accepted in \
            the last 6 hours, list them with 'hiveku-relay messages list --state failed --since 6h', and give their ids \
            to this command.

            A dropped message is sent again only if it is named by its id. A message that an application has cancelled \
            is never sent again. If a message was dropped before its scheduled time and is retried, it waits for that time \
            again.
            """)

    @OptionGroup var selection: MessageSelection
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await selection.perform(
            .retry(dropped: !selection.ids.isEmpty), common.store(), question: "Send again", done: "queued again")
        printError("Queued \(counted(changed, "delivery", "deliveries")) again.")
    }
}

struct MessagesHold: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold", abstract: "Keep queued and scheduled messages from being sent.",
        discussion:
            "They wait in the state 'held' until 'messages release' or 'messages drop', however long that takes.")

    @OptionGroup var selection: MessageSelection
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await selection.perform(.hold, common.store(), question: "Hold", done: "held")
        printError("Held \(counted(changed, "delivery", "deliveries")).")
    }
}

struct MessagesRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Let held messages be sent.",
        discussion: """
            They are sent as soon as their lane sends (see 'hiveku-relay status'); a scheduled message keeps its time.
            """)

    @OptionGroup var selection: MessageSelection
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await selection.perform(.release, common.store(), question: "Release", done: "released")
        printError("Released \(counted(changed, "delivery", "deliveries")).")
    }
}

struct MessagesDrop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Drop messages that are queued, scheduled or held: they are not sent.",
        discussion: """
            They count as failed and stay in the database; 'messages retry ID' can still queue one again. The system's \
            log gets a line for each one: 'journalctl -t hiveku-relay' shows them among the relay's lines.
            """)

    @OptionGroup var selection: MessageSelection
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let log = DropLog(try common.settings().log)
        let changed = try await selection.perform(.drop, common.store(), question: "Drop", done: "dropped", log: log)
        printError("Dropped \(counted(changed, "delivery", "deliveries")).")
    }
}
