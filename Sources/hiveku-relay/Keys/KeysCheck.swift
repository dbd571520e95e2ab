import Admission
import ArgumentParser
import Foundation
import InternetMessage
import RelayCore

struct KeysCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check whether a key would be accepted, or which rule would refuse it, without sending.",
        discussion: """
            Exits with 0 if the key would be accepted, with 1 if not. To keep the key out of the shell's history, pass \
            - and give it on standard input; on a terminal, press Enter and Ctrl-D after it.
            """)

    @Argument(help: "The key, or - to read it from standard input.") var key: String
    @Option(help: "What the key is to be used for. Checked against the key's scopes.") var scope = Scope.send
    @Option(help: "An address to send from. Checked against the key's domains.") var from: String?
    @Option(help: "A client's IP address. Checked against the key's networks.") var client: String?
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func clientAddress() throws -> IPAddress? {
        guard let client else { return nil }
        guard let address = IPAddress(client) else {
            throw ValidationError("--client: '\(printable(client))' is not an IP address")
        }
        return address
    }

    func validate() throws { _ = try clientAddress() }

    func run() async throws {
        var text = Array(key.utf8)
        if key == "-" {
            text = Array(FileHandle.standardInput.readData(ofLength: 4096))
            // The line end comes from the pipe and is not part of the key. Any other white space is kept, because it
            // may be the mistake that the check should find.
            if text.last == 0x0A { text.removeLast() }
            if text.last == 0x0D { text.removeLast() }
        }
        let store = try common.store()
        let (refusal, record) = try await verdict(text, store)
        if json {
            try JSONValue.object([
                "accepted": .bool(refusal == nil), "reason": JSONValue(refusal?.reason.rawValue),
                "explanation": JSONValue(refusal?.explanation), "id": JSONValue(record?.key.id.text),
            ]).print()
        } else if let refusal {
            print("refused: \(refusal.explanation) [\(refusal.reason.rawValue)]")
        } else if let record {
            print("accepted: the key \(record.key.id) '\(printable(record.key.name))' may send")
        }
        if refusal != nil { throw ExitCode(1) }
    }

    private func verdict(_ text: [UInt8], _ store: any RelayStore) async throws -> (Refusal?, KeyRecord?) {
        let candidate: APIKey
        switch KeyVerdict.key(password: text) {
        case .success(let key): candidate = key
        case .failure(let refusal): return (refusal, nil)
        }
        let now = store.commandClock.now()
        let stored = try await store.storedKey(candidate.id)
        if let refusal = KeyVerdict.ofUse(candidate, for: scope, stored: stored, client: try clientAddress(), now: now)
        {
            return (refusal, nil)
        }
        guard let record = try await store.keyRecord(candidate.id, now: now) else { return (KeyVerdict.unknown, nil) }
        if let from {
            do {
                let (path, _) = try SMTPPath.parsePath(Array("<\(from)>".utf8))
                if let refusal = KeyVerdict.ofSender(path, key: record.key) { return (refusal, record) }
            } catch {
                return (Refusal(.address, error.explanation), record)
            }
        }
        return (KeyVerdict.ofDay(record, now: now), record)
    }
}
