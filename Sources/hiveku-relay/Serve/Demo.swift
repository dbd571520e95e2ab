import ArgumentParser
import Foundation
import RelayCore
import Settings

/// What `serve --demo` adds: settings, a test key, and instructions for using them.
struct Demo: Sendable {
    let settings: RelaySettings
    private let directory: PrivateDirectory

    static let directoryName = ".hiveku-relay"
    static let sender = "shop@example.com"

    /// Makes `./.hiveku-relay` with a settings file for the other commands. Settings in the environment apply too, so
    /// the demo can be moved to other ports.
    init(environment: [String: String]) throws {
        let path = FileManager.default.currentDirectoryPath + "/" + Demo.directoryName
        // If root starts the demo in another user's directory, the process becomes that user. Files made there belong
        // to that user, and root follows no link that the user has prepared.
        try RelayUser.become(ownerOf: FileManager.default.currentDirectoryPath)
        directory = try PrivateDirectory(path)
        let demo = RelaySettings.demo(directory: path)
        let text = """
            # Written again by 'hiveku-relay serve --demo' at each start.
            hostname: \(demo.hostname)
            database: "\(demo.database)"
            listen: [\(demo.listen.map { "\"\($0)\"" }.joined(separator: ", "))]
            http: {listen: [\(demo.http.listen.map { "\"\($0)\"" }.joined(separator: ", "))]}
            admin: {listen: "\(demo.admin.listen.map { "\($0)" } ?? "")"}
            webhooks: {private_networks: [\(demo.webhooks.privateNetworks.map { "\"\($0)\"" }.joined(separator: ", "))]}
            storage: {reserve: \(demo.storage.reserve), reserve_test: \(demo.storage.reserveTest)}
            retention: {simulated_size: \(demo.storage.simulatedSize)}

            """
        try directory.write(Array(text.utf8), to: "relay.yaml")
        do {
            settings = try RelaySettings.load(
                file: path + "/relay.yaml", environment: environment, offersPostgreSQL: KnownStores.hasPostgreSQL)
        } catch {
            printFailure("\(error)")
            throw ExitCode(78)
        }
    }

    /// Returns the demo's test key, which is made at the first start. The key is stored readable beside the database,
    /// so that the command line that uses it can be printed at each start. Only a demo does that.
    func key(_ store: any RelayStore, now: Timestamp) async throws -> APIKey {
        if let text = directory.read("demo-key", limit: 1_000),
            let key = try? APIKey(parsing: text.filter { $0 > 0x20 }),
            let stored = try await store.storedKey(key.id), stored.accepts(key.digest, at: now),
            stored.key.refusalOfUse(at: now) == nil
        {
            return key
        }
        var generator = SystemRandomNumberGenerator()
        let key = APIKey(generating: .test, using: &generator)
        try await store.insertKey(
            StoredKey(
                key: Key(
                    id: key.id, name: "demo", environment: .test, scopes: Set(Scope.allCases), createdAt: now),
                digest: key.digest))
        try directory.write(Array((key.revealed + "\n").utf8), to: "demo-key")
        return key
    }

    /// - Parameters:
    ///   - api: the address of the HTTP API; nil if it does not listen.
    ///   - page: a link to the operator's page; nil if there is none.
    func welcome(
        _ key: APIKey, addresses: [(RelaySettings.Listener.Security, String)], api: String?, page: String?
    ) {
        print("Hiveku Relay \(relayVersion), demo. State: \(Demo.directoryName)/  Nothing leaves this machine.")
        for (security, address) in addresses {
            print("  listening on \(address)  \(security == .startTLS ? "SMTP with STARTTLS" : "SMTP over TLS")")
        }
        if let api { print("  listening on \(api)  HTTP API") }
        if let server = addresses.first(where: { $0.0 == .startTLS })?.1 {
            print("")
            print("Send a message, in another terminal:")
            print("")
            print(
                "  swaks --server \(server) --tls --auth PLAIN --auth-user apikey --auth-password \(key.revealed) "
                    + "--from \(Demo.sender) --to you@example.net --header 'Subject: Hello from the demo'")
        }
        if let api {
            print("")
            print("The same over HTTP:")
            print("")
            print(
                "  curl http://\(api)/v1/email/send -H 'Authorization: Bearer \(key.revealed)' "
                    + "-H 'Content-Type: application/json' -d '{\"from\": \"\(Demo.sender)\", "
                    + "\"to\": \"you@example.net\", \"subject\": \"Hello from the demo\", \"text\": \"It works.\"}'")
        }
        print("")
        if let page {
            print("See all of it on a page. The link works once, within 5 minutes:")
            print("")
            print("  \(page)")
            print("")
            print("Another link:")
            print("")
            print("  \(program) admin login --config \(Demo.directoryName)/relay.yaml")
            print("")
        }
        print("Commands find this relay after:")
        print("")
        print("  export HIVEKU_RELAY_CONFIG=\(Demo.directoryName)/relay.yaml")
        print("")
        print("Send to bounce@simulator.amazonses.com and the like, and see the outcome:")
        print("")
        print("  \(program) messages list --config \(Demo.directoryName)/relay.yaml")
        print("")
        flush()
    }

    /// Prints a line for each message that is sent.
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

    /// The name by which the program was called, so that the printed lines can be pasted.
    private var program: String { CommandLine.arguments.first ?? "hiveku-relay" }

    /// Standard output is buffered if it is not a terminal, and a person or a script waits for these lines.
    private func flush() { fflush(nil) }
}
