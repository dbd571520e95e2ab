import Admission
import Logging
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension DropLog {
    /// To the system's log: dropping is done by another process than the relay.
    init(_ settings: RelaySettings.Log) {
        let settings = LogSettings(settings)
        self.init(
            to: Logger(label: "hiveku-relay") { _ in
                RelayLogHandler(settings: settings, to: .systemLog, clock: SystemClock())
            })
    }

    /// As ``write(_:of:now:)``; says where that fails.
    func write(_ messages: [MessageID], of store: any RelayStore) async {
        do {
            try await write(messages, of: store, now: store.commandClock.now())
        } catch {
            // They are dropped all the same, and on record as such.
            printError("What was dropped can't be told to the system's log: \(error)")
        }
    }
}

/// syslog(3), where the journal or a syslog daemon listens; elsewhere lines go nowhere.
enum SystemLog {
    /// As systemd names the service's own lines, so that one search finds both.
    private static let name: StaticString = "hiveku-relay"

    private static let opened: Void = name.withUTF8Buffer { name in
        // Kept by openlog: a static string stays where it is.
        name.withMemoryRebound(to: CChar.self) { openlog($0.baseAddress, LOG_PID, mail) }
    }

    /// `LOG_MAIL`.
    private static let mail: CInt = 2 << 3

    static func write(_ line: String, priority: Int) {
        _ = opened
        line.withCString { line in
            withVaList([line]) { vsyslog(CInt(priority), "%s", $0) }
        }
    }
}
