import ArgumentParser
import Foundation
import RelayCore
import Settings

/// What `serve --demo` adds: settings, a test key, and words on what to do with them.
struct Demo: Sendable {
    let settings: RelaySettings
    private let directory: String

    static let directoryName = ".hiveku-relay"
    static let sender = "shop@example.com"

    /// Makes `./.hiveku-relay` with a settings file for the other commands. Settings in the environment count as well, so
    /// that the demo can be moved to other ports.
    init(environment: [String: String]) throws {
        directory = FileManager.default.currentDirectoryPath + "/" + Demo.directoryName
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let file = directory + "/relay.yaml"
        let demo = RelaySettings.demo(directory: directory)
        let text = """
            # Written anew by 'hiveku-relay serve --demo' at each start.
            hostname: \(demo.hostname)
            database: "\(demo.database)"
            listen: [\(demo.listen.map { "\"\($0)\"" }.joined(separator: ", "))]
            storage: {reserve: \(demo.storage.reserve), reserve_test: \(demo.storage.reserveTest)}
            retention: {simulated_size: \(demo.storage.simulatedSize)}

            """
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        do {
            settings = try RelaySettings.load(file: file, environment: environment)
        } catch {
            printError("\(error)")
            throw ExitCode(78)
        }
    }

    /// The test key of the demo, made at the first start. It is kept readable beside the database, which only a demo does:
    /// so that the line to try it with can be printed at each start.
    func key(_ store: any RelayStore, now: Timestamp) async throws -> APIKey {
        let file = URL(fileURLWithPath: directory + "/demo-key")
        if let text = try? Data(contentsOf: file), let key = try? APIKey(parsing: text.filter { $0 > 0x20 }),
            let stored = try await store.storedKey(key.id), stored.accepts(key.digest, at: now),
            stored.key.refusalOfUse(at: now) == nil
        {
            return key
        }
        var generator = SystemRandomNumberGenerator()
        let key = APIKey(generating: .test, using: &generator)
        try await store.insertKey(
            StoredKey(
                key: Key(id: key.id, name: "demo", environment: .test, scopes: [.send], createdAt: now),
                digest: key.digest))
        guard
            FileManager.default.createFile(
                atPath: file.path, contents: Data((key.revealed + "\n").utf8), attributes: [.posixPermissions: 0o600])
        else { throw CommandError("can't write \(file.path)") }
        return key
    }

    func welcome(_ key: APIKey, addresses: [(RelaySettings.Listener.Security, String)]) {
        print("Hiveku Relay \(relayVersion), demo. State: \(Demo.directoryName)/  Nothing leaves this machine.")
        for (security, address) in addresses {
            print("  listening on \(address)  \(security == .startTLS ? "SMTP with STARTTLS" : "SMTP over TLS")")
        }
        if let server = addresses.first(where: { $0.0 == .startTLS })?.1 {
            print("")
            print("Send a message, in another terminal:")
            print("")
            print(
                "  swaks --server \(server) --tls --auth PLAIN --auth-user apikey --auth-password \(key.revealed) "
                    + "--from \(Demo.sender) --to you@example.net --header 'Subject: Hello from the demo'")
        }
        print("")
        print("See what became of it:")
        print("")
        print("  \(program) messages list --config \(Demo.directoryName)/relay.yaml")
        print("")
        flush()
    }

    /// A line for each message as it is sent.
    func sent(_ delivery: ClaimedDelivery, _ what: String) {
        let recipients = delivery.envelope.recipients
        let to = (recipients.first ?? "") + (recipients.count > 1 ? " and \(recipients.count - 1) more" : "")
        print(
            printable(
                "\(what): \(delivery.message) from <\(delivery.envelope.reversePath ?? "")> to \(to), \(delivery.size) octets"
            ))
        print("  \(program) messages show \(delivery.message) --config \(Demo.directoryName)/relay.yaml")
        flush()
    }

    /// How the program was called, so that the lines can be pasted.
    private var program: String { CommandLine.arguments.first ?? "hiveku-relay" }

    /// Standard output is buffered when it is no terminal, and somebody waits for these lines.
    private func flush() { fflush(nil) }
}
