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
    /// Writes to the system's log: messages are dropped by another process than the relay's.
    init(_ settings: RelaySettings.Log) {
        let settings = LogSettings(settings)
        self.init(
            to: Logger(label: "hiveku-relay") { _ in
                RelayLogHandler(settings: settings, to: .systemLog, clock: SystemClock())
            })
    }

    /// Does the same as ``write(_:of:now:)``. Prints an error if it fails.
    func write(_ messages: [MessageID], of store: any RelayStore) async {
        do {
            try await write(messages, of: store, now: store.commandClock.now())
        } catch {
            // The messages are dropped anyway, and the database records that.
            printError("The dropped messages could not be written to the system log: \(error)")
        }
    }
}

/// syslog(3), if the journal or a syslog daemon listens. Otherwise the lines are lost.
enum SystemLog {
    /// The name that systemd gives the service's own lines, so that one search finds both.
    private static let name: StaticString = "hiveku-relay"

    private static let opened: Void = name.withUTF8Buffer { name in
        // openlog keeps the pointer: a static string stays at its address.
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
