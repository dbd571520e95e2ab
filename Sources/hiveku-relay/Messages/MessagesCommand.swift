import ArgumentParser
import Foundation
import RelayCore
import Settings

struct Messages: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, show, wait for, retry, hold, release and drop messages.",
        discussion: """
            The state of a message says what the relay has done with it: queued (it waits for its first \
            attempt, or for the next one after a failed attempt), scheduled, sending, sent, simulated, failed, \
            partly-failed, held (by an operator), suppressed or cancelled. The status of a recipient says what is known \
            about this recipient, such as delivered or bounced.

            The relay sends a message to many recipients in parts of up to 50 recipients, called deliveries.

            If all mail waits, run 'hiveku-relay status' and 'hiveku-relay doctor'.
            """,
        subcommands: [
            MessagesList.self, MessagesShow.self, MessagesWait.self, MessagesRetry.self, MessagesHold.self,
            MessagesRelease.self, MessagesDrop.self,
        ])
}

struct MessagesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List messages, newest first.",
        discussion: """
            Only messages that match every option are listed. The state says what the relay has done with the message: \
            use --state for mail that the relay has not sent. The status says what is known about a recipient: use \
            --status for mail that was sent and did not arrive. 'hiveku-relay messages show ID' prints the status of \
            each recipient. A scheduled message is in the state 'scheduled' until its time, and then in the state \
            'queued'.

            'hiveku-relay messages list --status bounced --since 1d' lists the messages of the last 24 hours that have \
            bounced for at least one recipient. 'hiveku-relay messages list --tag welcome --state failed --since 1d' \
            lists the failed messages of the last 24 hours that have the tag 'welcome'.
            """)

    @Option(help: "Only messages of this key.") var key: KeyID?
    @Option(help: "Only messages in this state: \(MessageState.allCases.map(\.rawValue).joined(separator: ", ")).")
    var state: MessageState?
    @Option(
        help:
            "Only messages with a recipient of this status: \(RecipientStatus.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var status: RecipientStatus?
    @Flag(help: "Only messages that wait for their scheduled time; the same as --state scheduled.")
    var scheduled = false
    @Option(help: "Only messages with this tag.") var tag: String?
    @Option(help: "Only messages with exactly this subject.") var subject: String?
    @Option(
        help: ArgumentHelp(
            "Only messages with these words in the recipients or the subject, such as an address. Whole words are matched; ann* also finds anna.",
            valueName: "words"))
    var search: String?
    @Option(help: "Only messages accepted within this time, for example 1h.") var since: TimeSpan?
    @Option(help: "The most messages to list.") var limit = 100
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...1_000_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1,000,000") }
        if scheduled, let state, state != .scheduled {
            throw ValidationError("--scheduled and --state \(state.rawValue) exclude each other")
        }
        if let tag, let fault = MessageTags.fault(of: tag) { throw ValidationError("the tag \(fault)") }
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var filter = MessageFilter(
            key: key, state: scheduled ? .scheduled : state, subject: subject, tag: tag,
            since: since.map { now - $0.duration }, limit: limit)
        filter.status = status
        filter.words = search
        if search != nil { try await indexWords(store) }
        let messages = try await store.messages(filter, now: now)
        if json {
            try JSONValue.print(messages.lazy.map { JSONValue($0) })
        } else if messages.isEmpty {
            printError("No messages.")
        } else {
            table(messages).print()
        }
    }
}

/// Adds to the index of words the messages that have arrived since it was last updated. A relay that serves the
/// operator's page does so all the time.
private func indexWords(_ store: any RelayStore) async throws {
    let progress = ProgressLine()
    defer { progress.clear() }
    while true {
        let left = try await store.indexWords()
        guard left > 0 else { return }
        progress.show("adding messages to the search index: at least \(grouped(left)) are left")
    }
}

private func table(_ messages: [MessageRecord]) -> Table {
    var table = Table(
        ["ID", "ACCEPTED (UTC)", "KEY", "ENV", "STATE", "SIZE", "FROM", "TO", "SUBJECT"], rightAligned: [5])
    for message in messages {
        let recipients = message.recipients
        let to = (recipients.first ?? "") + (recipients.count > 1 ? " +\(recipients.count - 1)" : "")
        table.append([
            message.id.description, brief(message.acceptedAt), message.key.text, message.environment.rawValue,
            message.state.rawValue, String(message.size), message.reversePath ?? "<>", to,
            String((message.subject ?? "").prefix(50)),
        ])
    }
    return table
}

struct MessagesShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a message with each delivery attempt, and the status of each recipient.",
        discussion: """
            A message to more than 50 recipients is sent in parts, called deliveries. For each delivery, this prints \
            its recipients, the reason for its state, and every attempt with the answer from SES. If a delivery waits \
            and has no attempt, its whole lane may be held: 'hiveku-relay status' then prints HELD and the reason.

            The most significant event about a recipient decides the recipient's status, in whatever order the events \
            arrived: a permanent bounce counts more than a delivery, and a complaint more than both. SES reports \
            events after it has accepted a live message. The relay gets them only if the SQS queue is set up: see \
            'hiveku-relay feedback --help'.
            """)

    @Argument(help: "The message's id, as in the 250 reply or, with msg_ in front, as in the HTTP API.") var id:
        MessageID
    @Flag(help: "Print only the bytes that SES gets, or would have got.") var raw = false
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if raw, json { throw ValidationError("--raw and --json exclude each other") }
    }

    func run() async throws {
        let store = try common.store()
        if raw { return try await printBytes(store) }
        let filter = MessageFilter(ids: [id])
        guard let message = try await store.messages(filter, now: store.commandClock.now()).first else {
            throw StoreError.noSuchMessage(id)
        }
        if json { return try JSONValue(message, attempts: true).print() }
        var rows = [
            ("Id", message.id.description), ("State", message.state.rawValue),
            ("Key", "\(message.key) (\(message.environment.rawValue))"),
            ("Client", message.client.map { "\($0)" } ?? "-"), ("From", message.reversePath ?? "<>"),
            ("Subject", message.subject ?? "-"), ("Size", "\(message.size) octets"),
            ("Accepted", message.acceptedAt.rfc3339),
        ]
        if let time = message.scheduledAt { rows.append(("Scheduled", time.rfc3339)) }
        if let template = message.template { rows.append(("Template", template.description)) }
        if !message.tags.isEmpty { rows.append(("Tags", message.tags.joined(separator: ", "))) }
        rows.append(("Body", message.hasBody ? "kept (--raw prints it)" : "no longer kept"))
        printRows(rows)
        for (number, delivery) in message.deliveries.enumerated() { show(delivery, number + 1, of: message) }
        print("")
        print("Recipients:")
        for recipient in message.recipientRecords { show(recipient) }
    }

    private func show(_ recipient: RecipientRecord) {
        print("  " + printable("\(recipient.address): \(recipient.status.rawValue)"))
        for event in recipient.events {
            let detail = event.sentence.map { ": " + printable($0) } ?? ""
            print("    \(event.at.rfc3339) \(event.kind.rawValue)\(detail)")
        }
    }

    private func show(_ delivery: MessageRecord.Delivery, _ number: Int, of message: MessageRecord) {
        print("")
        print("Delivery \(number) of \(message.deliveries.count): \(delivery.state.rawValue)")
        var rows = [("  To", delivery.recipients.joined(separator: ", "))]
        if let id = delivery.sesMessageID { rows.append(("  SES message id", id)) }
        if let reason = delivery.reason { rows.append(("  Reason", reason)) }
        if let next = delivery.nextAttemptAt { rows.append(("  Next attempt", next.rfc3339)) }
        if delivery.maybeDuplicate {
            rows.append(
                (
                    "  Maybe duplicate",
                    "yes: SES may already have sent this message in an earlier attempt whose answer was lost"
                ))
        }
        printRows(rows)
        for (index, attempt) in delivery.history.enumerated() {
            let reason = attempt.reason.map { ": " + printable($0) } ?? ""
            print("  Attempt \(index + 1), \(attempt.startedAt.rfc3339): \(attempt.outcome)\(reason)")
        }
    }

    private func printBytes(_ store: any RelayStore) async throws {
        let body = try await store.body(of: id)
        var offset = 0
        while offset < body.size {
            let piece = try await body.read(at: offset, count: 1 << 18)
            guard !piece.isEmpty else { break }
            try Output.write(piece)
            offset += piece.count
        }
    }
}

struct MessagesWait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until messages have been sent; for CI.",
        discussion: """
            Succeeds as soon as --count matching messages have been sent (or simulated), and prints them. With \
            --status, succeeds as soon as that many have a recipient with this status. Exits with 1 when the time is \
            up, and says which messages there are instead.
            """)

    @Option(help: "Only messages of this key.") var key: KeyID?
    @Option(help: "Only messages with exactly this subject.") var subject: String?
    @Option(help: "Only messages accepted within this time, for example 5m.") var since: TimeSpan?
    @Option(
        help:
            "The status that a recipient must have, for example delivered or bounced. (default: wait until the message is sent)"
    )
    var status: RecipientStatus?
    @Option(help: "How many must have been sent.") var count = 1
    @Option(help: "How long to wait.") var timeout: TimeSpan = TimeSpan(.seconds(10), "10s")
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (1...100_000).contains(count) else { throw ValidationError("--count must be from 1 to 100,000") }
    }

    func run() async throws {
        let store = try common.store()
        let clock = store.commandClock
        let start = clock.now()
        let deadline = start + timeout.duration
        var filter = MessageFilter(key: key, subject: subject, since: since.map { start - $0.duration }, limit: count)
        while true {
            var found: [MessageRecord] = []
            filter.status = status
            for state in status == nil ? [MessageState.simulated, .sent] : [nil] {
                filter.state = state
                found += try await store.messages(filter, now: clock.now())
            }
            if found.count >= count { return try show(found.sorted { $0.id > $1.id }) }
            guard clock.now() < deadline else { break }
            try await clock.sleep(until: min(deadline, clock.now() + .milliseconds(50)))
        }
        throw CommandError("timed out after \(timeout.text): \(try await whatThereIs(store, filter))")
    }

    private func show(_ messages: [MessageRecord]) throws {
        let messages = messages.prefix(count)
        if json {
            try JSONValue.print(messages.lazy.map { JSONValue($0) })
        } else {
            table(Array(messages)).print()
        }
    }

    private func whatThereIs(_ store: any RelayStore, _ filter: MessageFilter) async throws -> String {
        var filter = filter
        filter.state = nil
        filter.status = nil
        filter.limit = 1000
        let messages = try await store.messages(filter, now: store.commandClock.now())
        guard !messages.isEmpty else { return "no matching message was accepted" }
        let byState = Dictionary(grouping: messages, by: \.state).map { "\($0.value.count) \($0.key.rawValue)" }
            .sorted()
        let reason = messages.lazy.flatMap(\.deliveries).compactMap(\.reason).first
        return "\(byState.joined(separator: ", "))\(reason.map { "; one of them: " + printable($0) } ?? "")"
    }
}
